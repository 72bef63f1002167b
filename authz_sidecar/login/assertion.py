"""The identity assertion for pages that call other services themselves: given to scripts of the very
host, for whoever is signed in there and may open the page that asks."""

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
    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def respond(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        if not _is_same_origin_script(request):
            return self._error(request, "cross-origin", "Only pages of this very host may ask.")
        page = _referring_page(request)
        providers = context.providers_for(page)
        active = await context.active_session(request, (*providers, *context.providers))
        if active is None:
            return self._error(request, "unauthenticated", "Sign in first.", page=page)
        session = await self._refreshed_session(active.token, active.session)
        if session is None:
            return self._error(request, "unauthenticated", "Sign in first.", page=page)
        if not receives_identity(request, session.identity, context.preview, address=page):
            # Who may not open the page is no user of the application; and a page that is told of
            # nobody, as a public one, is no way around those that are.
            return self._error(request, "forbidden", "This page is not open to you.", page=page)
        assertion, expires_at = context.assertion(session, request.origin)
        left = max(0, int(expires_at - context.clock()))
        return _json({"assertion": assertion, "expires_at": int(expires_at), "expires_in": left})

    async def _refreshed_session(self, token: str, session: Session) -> Session | None:
        """As the gate has it: asked again of its provider when its time has come."""
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
    """Fetch Metadata, section 2.3, where the browser sends it; else `Origin`, which a script cannot
    set either. Neither is a request that no script of ours made."""
    sites, origins = request.header_lines("sec-fetch-site"), request.header_lines("origin")
    if any(origin != str(request.origin) for origin in origins):
        return False
    if sites:
        return sites == ("same-origin",)
    return len(origins) == 1


def _referring_page(request: LoginRequest) -> str:
    """The page that asks, as far as its browser tells; else the host's first one."""
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
