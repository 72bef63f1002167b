"""Who am I: a page for people, JSON for programs. No token is ever shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from authz_sidecar.login.http import NO_STORE, LoginResponse, redirect

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.http import LoginRequest


class WhoAmIEndpoint:
    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def page(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        found = await context.active_session(request, tuple(context.providers))
        if found is None:
            return context.not_signed_in_page(request, return_path="")
        identity = found.session.identity
        html = context.pages.who_am_i(
            identity=identity,
            provider=context.providers[identity.provider].label,
            expires_at=found.session.expires_at,
            sign_out_url=f"{context.base_path}/sign_out",
            sessions_url=context.url(context.auth_host or request.origin, "sessions"),
        )
        return context.page(html)

    async def redirect_to_page(self, request: LoginRequest) -> LoginResponse:
        """For addresses beside the page: without its slash, or the bare central host."""
        return redirect(self._context.url(request.origin, ""))

    async def root(self, request: LoginRequest) -> LoginResponse:
        """`/` is an app's, and reaches us only where a proxy has nothing else to send it to."""
        context = self._context
        if (
            request.origin == context.auth_host
            and context.routes.match(request.origin, "/") is None
        ):
            return await self.redirect_to_page(request)
        return LoginResponse(status=404, headers=NO_STORE)

    async def userinfo(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        found = await context.active_session(request, tuple(context.providers))
        if found is None:
            start = context.url(request.origin, "start")
            return _json({"error": "unauthenticated", "sign_in": start}, status=401)
        return _json(_userinfo(found.session))


def _userinfo(session: Session) -> dict[str, object]:
    identity = session.identity
    return {
        "provider": identity.provider,
        "iss": identity.issuer,
        "sub": identity.subject,
        "email": identity.email,
        "name": identity.name,
        "groups": list(identity.groups),
        "claims": dict(identity.claims),
        "signed_in_at": int(session.created_at),
        "expires_at": int(session.expires_at),
    }


def _json(value: object, *, status: int = 200) -> LoginResponse:
    return LoginResponse(
        status=status,
        headers=(("content-type", "application/json"), *NO_STORE),
        body=json.dumps(value, default=str).encode(),
    )
