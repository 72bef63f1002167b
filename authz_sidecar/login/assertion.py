"""The assertion endpoint: gives a page's scripts the identity assertion, for calls to other
services.

Only scripts of the same host get it, for the user who is logged in there and may open the page.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.login.http import LoginResponse
from authz_sidecar.login.step_up import receives_identity

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.http import LoginRequest

_HEADERS = (
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    ("vary", "Cookie, Origin, Referer, Sec-Fetch-Site"),
)


class AssertionEndpoint:
    """The endpoint `assertion`."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def respond(self, request: LoginRequest) -> LoginResponse:
        """Return the assertion and when it expires as JSON, or 401 with the reason."""
        context = self._context
        if not _is_same_origin_script(request):
            return self._error(
                request, "cross-origin", "Only scripts of this host may request an assertion."
            )
        page = _referring_page(request)
        providers = context.providers_for(page)
        active = await context.active_session(request, (*providers, *context.providers))
        if active is None:
            return self._error(request, "unauthenticated", "Sign in first.", page=page)
        session = await self._refreshed_session(active.token, active.session)
        if session is None:
            return self._error(request, "unauthenticated", "Sign in first.", page=page)
        if not receives_identity(request, session.identity, context.preview, address=page):
            # A user who may not open the page is not a user of the application; and a public page,
            # which receives no identity, must not be a way around the others.
            return self._error(request, "forbidden", "This page is not open to you.", page=page)
        assertion, expires_at = context.assertion(session, request.origin)
        expires_in = max(0, int(expires_at - context.clock()))
        return _json(
            {"assertion": assertion, "expires_at": int(expires_at), "expires_in": expires_in}
        )

    async def _refreshed_session(self, token: str, session: Session) -> Session | None:
        """Return the session as a check would find it: refreshed at its provider when due."""
        return await self._context.refreshed_sessions.find(
            token, scope=session.scope, provider=session.identity.provider
        )

    def _error(
        self, request: LoginRequest, error: str, message: str, *, page: str | None = None
    ) -> LoginResponse:
        document: dict[str, object] = {"error": error, "message": message}
        if page is not None:
            document["sign_in_url"] = self._context.url(request.origin, "start", rd=page)
        return _json(document, status=401).with_header("www-authenticate", "Bearer")


def _is_same_origin_script(request: LoginRequest) -> bool:
    """Whether a script of this origin sent the request: by Fetch Metadata (section 2.3), or by
    `Origin` in browsers without it. A script cannot set either."""
    sites, origins = request.header_lines("sec-fetch-site"), request.header_lines("origin")
    if any(origin != str(request.origin) for origin in origins):
        return False
    if sites:
        return sites == ("same-origin",)
    return len(origins) == 1


def _referring_page(request: LoginRequest) -> str:
    """Return the page that sent the request, from `Referer`, or the host's root."""
    default = f"{request.origin}/"
    try:
        origin, target = parse_url(request.header("referer") or default)
    except MalformedUrl:
        return default
    return f"{origin}{target}" if origin == request.origin else default


def _json(document: dict[str, object], *, status: int = 200) -> LoginResponse:
    return LoginResponse(
        status=status, headers=_HEADERS, body=json.dumps(document).encode() + b"\n"
    )
