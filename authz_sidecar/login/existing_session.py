"""Whether an existing session already satisfies a login request."""

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
    """Compares the browser's sessions with what the return URL requires."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def with_requirement(
        self, request: LoginRequest, intent: LoginIntent, providers: tuple[str, ...]
    ) -> LoginIntent:
        """Return the intent with the step-up that the return URL requires of the user who is logged
        in, or with the preferred requirement when no user is. Unchanged when one of the sessions is
        enough."""
        if intent.walk and not intent.asked:
            return intent
        with_step_up, has_session = intent, False
        for provider in providers:
            active = await self._context.active_session(request, (provider,))
            if active is None:
                continue
            identity = active.session.identity
            decision = preview_decision(
                request,
                identity,
                self._context.preview,
                address=intent.return_to,
                protected_request=intent.asked,
            )
            if isinstance(decision, Allow):
                return intent
            step_up = step_up_for(decision)
            if step_up is not None and with_step_up.step_up is None:
                with_step_up = replace(
                    intent, step_up=step_up, provider=provider, user=user_fingerprint(identity)
                )
            has_session = True
        if has_session:
            return with_step_up
        wish = preferred_requirement(
            request, self._context.preview, address=intent.return_to, protected_request=intent.asked
        )
        return replace(intent, wish=wish)

    async def satisfying_session(
        self, request: LoginRequest, intent: LoginIntent, providers: tuple[str, ...]
    ) -> ActiveSession | None:
        """Return a valid session, or None when there is none or it does not satisfy the required
        step-up. On the central host a session may have been stepped up for another host."""
        context = self._context
        active = await context.active_session(request, providers)
        if active is None or intent.step_up is None:
            return active
        missing = intent.step_up.unmet_by(active.session.identity, now=context.clock())
        return active if missing is None else None
