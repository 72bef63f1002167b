"""Whether somebody who comes to sign in is signed in already, and well enough for where they go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Allow
from authz_sidecar.login.step_up import prospect, step_up_for, user_mark, wished

if TYPE_CHECKING:
    from authz_sidecar.login.context import Desk, Found
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.login_request import Errand


class Sufficing:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def stepped_up(
        self, request: LoginRequest, errand: Errand, providers: tuple[str, ...]
    ) -> Errand:
        """The errand, with what the address needs of those who are signed in, if none of them may
        open it as they are, and one might after another sign-in."""
        if errand.walk and not errand.asked:
            return errand
        needed, signed_in = errand, False
        for provider in providers:
            found = await self._desk.living(request, (provider,))
            if found is None:
                continue
            identity = found.session.identity
            decision = prospect(
                request,
                identity,
                self._desk.prospects,
                address=errand.return_to,
                asked=errand.asked,
            )
            if isinstance(decision, Allow):
                return errand
            step_up = step_up_for(decision)
            if step_up is not None and needed.step_up is None:
                needed = replace(
                    errand, step_up=step_up, provider=provider, user=user_mark(identity)
                )
            signed_in = True
        if signed_in:
            return needed
        wish = wished(request, self._desk.prospects, address=errand.return_to, asked=errand.asked)
        return replace(errand, wish=wish)

    async def good_enough(
        self, request: LoginRequest, errand: Errand, providers: tuple[str, ...]
    ) -> Found | None:
        """A living session, unless it is the very one that has to be stepped up. On the central
        host it may have been, for another host."""
        desk = self._desk
        found = await desk.living(request, providers)
        if found is None or errand.step_up is None:
            return found
        missing = errand.step_up.missing(found.session.identity, now=desk.clock())
        return found if missing is None else None
