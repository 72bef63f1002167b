"""The page and the JSON endpoint that show the current user. They never show a token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from authz_sidecar.login.http import NO_STORE, LoginResponse, redirect

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.http import LoginRequest


class WhoAmIEndpoint:
    """The endpoints `/` below the base path and `userinfo`."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def page(self, request: LoginRequest) -> LoginResponse:
        """Return the page about the current user, or a 401 page with a link to log in."""
        context = self._context
        active = await context.active_session(request, tuple(context.providers))
        if active is None:
            return context.not_signed_in_page(request, return_path="")
        identity = active.session.identity
        html = context.pages.who_am_i(
            identity=identity,
            provider=context.providers[identity.provider].label,
            expires_at=active.session.expires_at,
            sign_out_url=f"{context.base_path}/sign_out",
            sessions_url=context.url(context.auth_host or request.origin, "sessions"),
        )
        return context.page(html)

    async def redirect_to_page(self, request: LoginRequest) -> LoginResponse:
        """Redirect to the page, from its URL without the trailing slash or from the root of the
        central host."""
        return redirect(self._context.url(request.origin, ""))

    async def root(self, request: LoginRequest) -> LoginResponse:
        """Redirect from the root of the central host to the page, unless a route serves the root;
        404 everywhere else. Root paths belong to applications."""
        context = self._context
        if (
            request.origin == context.auth_host
            and context.routes.match(request.origin, "/") is None
        ):
            return await self.redirect_to_page(request)
        return LoginResponse(status=404, headers=NO_STORE)

    async def userinfo(self, request: LoginRequest) -> LoginResponse:
        """Return the current user as JSON, or 401 with the URL that starts a login."""
        context = self._context
        active = await context.active_session(request, tuple(context.providers))
        if active is None:
            start_url = context.url(request.origin, "start")
            return _json({"error": "unauthenticated", "sign_in": start_url}, status=401)
        return _json(_userinfo(active.session))


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
