"""The response factory: from a decision to headers for the application, a sign-in URL, or a refusal
with its reason.

Knows identity headers, cookies and pages; knows neither the proxies' formats nor how the decision
was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_never
from urllib.parse import quote

from authz_sidecar.adapters.base import Allowed, AuthzResponse, LoginRequired, Page, Rejected
from authz_sidecar.adapters.request_kind import is_navigation
from authz_sidecar.core.redirects import ReturnUrl, truncate_to_limit
from authz_sidecar.core.step_up import MAX_STEP_UP_REQUEST_BYTES
from authz_sidecar.core.types import Allow, Challenge, Decision, Deny, Session, step_up_of
from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.errors import (
    AuthzError,
    CredentialsRefused,
    ProviderUnavailable,
    ProxyMisconfigured,
    RateLimited,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import CheckRequest, Identity
    from authz_sidecar.identity.headers import IdentityHeaders
    from authz_sidecar.routes.model import Route
    from authz_sidecar.sessions.cookie import SessionCookies

MAX_HEADER_BYTES = 3584
"""With this bound the response fits nginx's default buffer of 4 kB. `Cookie`, for which every proxy
has room, has its own."""
MAX_COOKIE_BYTES = 12_288

RETRY_SECONDS = 5
_REASONS = {400: "bad-request", 403: "forbidden", 429: "throttled", 503: "unavailable"}
_ERROR_TITLES = {
    400: "This request is not valid",
    403: "Access denied",
    429: "Too many requests",
    503: "The sign-in service is not available",
}


class PageRenderer(Protocol):
    """Renders the pages for browsers."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the response headers of every page."""

    def denied(
        self,
        *,
        identity: Identity | None,
        url: str,
        reasons: frozenset[str],
        request_id: str,
        switch_account_url: str | None,
    ) -> str:
        """Return the page of a denied request."""

    def error(
        self,
        *,
        title: str,
        message: str,
        request_id: str,
        retry_url: str | None = None,
        hints: tuple[str, ...] = (),
    ) -> str:
        """Return the page of an error."""


class Cacheability(Protocol):
    """Decides how long a proxy may repeat a response."""

    def max_age(self, request: CheckRequest, route: Route | None, session: Session | None) -> int:
        """Return the lifetime of an allowed response in seconds; 0 when it must not be cached."""

    def stable_until(self, session: Session) -> float:
        """Return the Unix time from which on `max_age` may differ from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResult:
    """A decision with its route and session.

    `header` is the name of the header for which the request was denied before any policy.
    """

    decision: Decision
    route: Route | None = None
    session: Session | None = None
    header: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFactory:
    """Builds responses from decisions.

    - `strip_cookie`: whether the sidecar's own cookies are removed from the application's.
    - `provider_ready`: whether a provider was ever reached.
    - `challenges`: the values of `WWW-Authenticate` for a request and route.
    """

    cookies: SessionCookies
    strip_cookie: bool
    base_path: str
    identity_headers: IdentityHeaders
    pages: PageRenderer
    provider_ready: Callable[[str], bool]
    cacheability: Cacheability
    challenges: Callable[[CheckRequest, Route], tuple[str, ...]]

    def response(
        self, request: CheckRequest, result: AuthorizationResult, request_id: str
    ) -> AuthzResponse:
        """Return the response to a decision."""
        match result.decision:
            case Allow():
                return self._allowed(request, result, request_id)
            case Challenge():
                return self._login_required(request, result, request_id)
            case Deny(reasons):
                return self._denied(request, result, reasons, request_id)
            case _:
                assert_never(result.decision)

    def _allowed(
        self, request: CheckRequest, result: AuthorizationResult, request_id: str
    ) -> AuthzResponse:
        templates = result.route.set_request_headers if result.route else ()
        headers = self.identity_headers.request_headers(request, result.session, templates)
        cookie = self._cookie_for_app(request)
        size = sum([len(name) + len(value) + 4 for name, value in headers])
        if size > MAX_HEADER_BYTES or len(cookie) > MAX_COOKIE_BYTES:
            reasons = frozenset({"headers-too-large"})
            return self._denied(request, result, reasons, request_id)
        return Allowed(
            identity=headers,
            cleared=self.identity_headers.headers_to_remove(headers),
            cookie=cookie,
            max_age=self.cacheability.max_age(request, result.route, result.session),
        )

    def _cookie_for_app(self, request: CheckRequest) -> str:
        lines = request.header_values("cookie")
        stripped = self.cookies.remove_own(lines) if self.strip_cookie else None
        return "; ".join(lines) if stripped is None else stripped

    def _login_required(
        self, request: CheckRequest, result: AuthorizationResult, request_id: str
    ) -> AuthzResponse:
        providers = result.route.providers if result.route else ()
        challenges = self.challenges(request, result.route) if result.route else ()
        if not providers and challenges:
            return Rejected(
                status=401,
                reason="unauthenticated",
                message="This address requires a token.",
                request_id=request_id,
                headers=tuple(("www-authenticate", challenge) for challenge in challenges),
            )
        if not providers:
            return self._denied(request, result, result.decision.reasons, request_id)
        if not any(self.provider_ready(provider) for provider in providers):
            return self.error_response(
                ProviderUnavailable("no identity provider of the route was reached yet"),
                request,
                request_id,
            )
        step_up = step_up_of(result.decision)
        allowed_origin = _allowed_origin(request, result.route)
        return LoginRequired(
            location=self._start_url(
                request, includes_request=step_up is not None or allowed_origin is not None
            ),
            navigation=is_navigation(request),
            step_up=step_up,
            allowed_origin=allowed_origin,
            challenges=challenges or ("Bearer",),
        )

    def _denied(
        self,
        request: CheckRequest,
        result: AuthorizationResult,
        reasons: frozenset[str],
        request_id: str,
    ) -> Rejected:
        page = None
        if is_navigation(request):
            identity = result.session.identity if result.session else None
            html = self.pages.denied(
                identity=identity,
                url=request.url,
                reasons=reasons,
                request_id=request_id,
                switch_account_url=f"{self._start_url(request)}&switch=1" if identity else None,
            )
            page = Page(html=html, headers=self.pages.headers())
        return Rejected(
            status=403,
            reason=min(reasons, default="forbidden"),
            message="Access denied.",
            request_id=request_id,
            page=page,
            allowed_origin=_allowed_origin(request, result.route),
        )

    def error_response(
        self, error: AuthzError, request: CheckRequest | None, request_id: str
    ) -> Rejected:
        """Return the response to an error: 401 or 403 for credentials, 400 or 429 for requests,
        else 503."""
        if isinstance(error, CredentialsRefused):
            return Rejected(
                # RFC 6750 section 3.1: the token is valid, and its scope is not enough.
                status=403 if error.code == "insufficient_scope" else error.status,
                reason=error.code,
                message=error.public_message,
                request_id=request_id,
                headers=error.headers,
            )
        status = error.status if error.status in _REASONS else 503
        page = None
        if request is not None and is_navigation(request):
            html = self.pages.error(
                title=_ERROR_TITLES[status],
                message=error.public_message,
                request_id=request_id,
                retry_url=request.url if status == 503 else None,
            )
            page = Page(html=html, headers=self.pages.headers())
        return Rejected(
            status=status,
            reason=error.reason if isinstance(error, ProxyMisconfigured) else _REASONS[status],
            message=error.public_message,
            request_id=request_id,
            page=page,
            retry_after=_retry_after(error, status),
        )

    def _start_url(self, request: CheckRequest, *, includes_request: bool = False) -> str:
        return_url = _return_url(request)
        query = f"rd={quote(return_url.url, safe='')}" + (
            "&shortened=1" if return_url.is_truncated else ""
        )
        requested = f"{request.method} {request.path}"
        if (
            includes_request
            and len(requested) <= MAX_STEP_UP_REQUEST_BYTES
            and not _repeats_request(request, return_url)
        ):
            # The return URL may need less than this request, and may be on another host, where this
            # sign-in gives no session.
            query += f"&for={quote(requested, safe='')}"
        return f"{request.origin}{self.base_path}/start?{query}"


def _repeats_request(request: CheckRequest, return_url: ReturnUrl) -> bool:
    """Whether the browser sends this same request again when it loads the return URL."""
    return request.method == "GET" and is_navigation(request) and return_url.url == request.url


def _allowed_origin(request: CheckRequest, route: Route | None) -> str | None:
    """Return the other origin whose script sent the request, if the route allows it to read
    responses."""
    origin = request.header("origin")
    return origin if route is not None and origin in route.allowed_origins else None


def _retry_after(error: AuthzError, status: int) -> int | None:
    if isinstance(error, RateLimited):
        return error.retry_after
    return RETRY_SECONDS if status == 503 else None


def _return_url(request: CheckRequest) -> ReturnUrl:
    """Return the return URL: the requested page, or the page with the form or script."""
    # Return URLs have no raw backslash, and in a query its escape means the same.
    target = request.target.replace("\\", "%5C")
    if request.method not in {"GET", "HEAD"}:
        target = _referring_page(request) or "/"
    return truncate_to_limit(request.origin, target)


def _referring_page(request: CheckRequest) -> str | None:
    """Return the target of the referring page, if it is on the same host."""
    try:
        origin, target = parse_url(request.header("referer") or "")
    except MalformedUrl:
        return None
    return target if origin == request.origin else None
