"""Whether somebody who comes to sign in is signed in already, and well enough for where they go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Allow
from authz_sidecar.login.step_up import (
    preferred_requirement,
    preview_decision,
    step_up_for,
    user_fingerprint,
)

if TYPE_CHECKING:
    from authz_sidecar.login.context import ActiveSession, LoginContext
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.login_request import LoginIntent


class ExistingSessionCheck:
    def __init__(self, desk: LoginContext) -> None:
        self._desk = desk

    async def with_requirement(
        self, request: LoginRequest, errand: LoginIntent, providers: tuple[str, ...]
    ) -> LoginIntent:
        """The errand, with what the address needs of those who are signed in, if none of them may
        open it as they are, and one might after another sign-in."""
        if errand.walk and not errand.asked:
            return errand
        needed, signed_in = errand, False
        for provider in providers:
            found = await self._desk.active_session(request, (provider,))
            if found is None:
                continue
            identity = found.session.identity
            decision = preview_decision(
                request,
                identity,
                self._desk.preview,
                address=errand.return_to,
                asked=errand.asked,
            )
            if isinstance(decision, Allow):
                return errand
            step_up = step_up_for(decision)
            if step_up is not None and needed.step_up is None:
                needed = replace(
                    errand, step_up=step_up, provider=provider, user=user_fingerprint(identity)
                )
            signed_in = True
        if signed_in:
            return needed
        wish = preferred_requirement(
            request, self._desk.preview, address=errand.return_to, asked=errand.asked
        )
        return replace(errand, wish=wish)

    async def satisfying_session(
        self, request: LoginRequest, errand: LoginIntent, providers: tuple[str, ...]
    ) -> ActiveSession | None:
        """A living session, unless it is the very one that has to be stepped up. On the central
        host it may have been, for another host."""
        desk = self._desk
        found = await desk.active_session(request, providers)
        if found is None or errand.step_up is None:
            return found
        missing = errand.step_up.unmet_by(found.session.identity, now=desk.clock())
        return found if missing is None else None
