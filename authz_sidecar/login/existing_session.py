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
    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def with_requirement(
        self, request: LoginRequest, intent: LoginIntent, providers: tuple[str, ...]
    ) -> LoginIntent:
        """The errand, with what the address needs of those who are signed in, if none of them may
        open it as they are, and one might after another sign-in."""
        if intent.walk and not intent.asked:
            return intent
        needed, signed_in = intent, False
        for provider in providers:
            found = await self._context.active_session(request, (provider,))
            if found is None:
                continue
            identity = found.session.identity
            decision = preview_decision(
                request,
                identity,
                self._context.preview,
                address=intent.return_to,
                asked=intent.asked,
            )
            if isinstance(decision, Allow):
                return intent
            step_up = step_up_for(decision)
            if step_up is not None and needed.step_up is None:
                needed = replace(
                    intent, step_up=step_up, provider=provider, user=user_fingerprint(identity)
                )
            signed_in = True
        if signed_in:
            return needed
        wish = preferred_requirement(
            request, self._context.preview, address=intent.return_to, asked=intent.asked
        )
        return replace(intent, wish=wish)

    async def satisfying_session(
        self, request: LoginRequest, intent: LoginIntent, providers: tuple[str, ...]
    ) -> ActiveSession | None:
        """A living session, unless it is the very one that has to be stepped up. On the central
        host it may have been, for another host."""
        context = self._context
        found = await context.active_session(request, providers)
        if found is None or intent.step_up is None:
            return found
        missing = intent.step_up.unmet_by(found.session.identity, now=context.clock())
        return found if missing is None else None
