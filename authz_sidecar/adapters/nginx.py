"""The adapters for nginx `auth_request` and for its second subrequest, the challenge.

nginx understands 2xx, 401 and 403 and turns everything else into 500, so the first response gives
the reason in a header and the second (`error_page 401 403 = @challenge`) is the client's response.
https://nginx.org/en/docs/http/ngx_http_auth_request_module.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from authz_sidecar.adapters import forward_auth, responses
from authz_sidecar.adapters.base import (
    Allowed,
    AuthzResponse,
    HttpResponse,
    LoginRequired,
    Rejected,
)
from authz_sidecar.adapters.request_kind import is_navigation
from authz_sidecar.adapters.request_parsing import STANDARD_ATTRIBUTES
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet
from authz_sidecar.core.browser_headers import with_isolation_headers
from authz_sidecar.core.types import REASON_HEADER

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import SubRequest
    from authz_sidecar.core.types import CheckRequest, RequestAttribute

ACCEL_EXPIRES = "x-accel-expires"
_REASONS = {400: "bad-request", 403: "forbidden", 429: "throttled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """The adapter for `auth_request`."""

    trusted_hops: NetworkSet = NO_NETWORKS

    @property
    def name(self) -> str:
        """The name in logs and metrics."""
        return "nginx"

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The standard attributes."""
        return STANDARD_ATTRIBUTES

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Parse the `X-Forwarded-*` headers. Raises `BadProxyRequest`."""
        return forward_auth.parse(raw, adapter=self.name, trusted_hops=self.trusted_hops)

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:  # noqa: ARG002 - the first subrequest has no body
        """Return 200, 401, 403 or 503, with the lifetime of a response that nginx may cache."""
        http_response = auth_request_response(response)
        if not isinstance(response, Allowed) or not response.max_age:
            return http_response
        # nginx obeys this header rather than `Cache-Control` if it comes first; `no-store` is for
        # every other cache.
        # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid
        return replace(
            http_response, headers=((ACCEL_EXPIRES, str(response.max_age)), *http_response.headers)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxChallenge:
    """The adapter for the challenge. Never returns 200: its response replaces the application's
    page."""

    trusted_hops: NetworkSet = NO_NETWORKS

    @property
    def name(self) -> str:
        """The name in logs and metrics."""
        return "nginx-challenge"

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The standard attributes."""
        return STANDARD_ATTRIBUTES

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Parse as `Nginx` does, and mark the request as a challenge. Raises `BadProxyRequest`."""
        request = forward_auth.parse(raw, adapter="nginx", trusted_hops=self.trusted_hops)
        return replace(request, is_challenge_phase=True)

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        """Return the client's response."""
        if not isinstance(response, Allowed) or request is None:
            return responses.render(response, request)
        if not request.header(REASON_HEADER):
            # nginx itself refused (`deny`, `limit_except`), not the sidecar.
            rejection = Rejected(status=403, reason="forbidden", message="The proxy refused this.")
            return responses.render(rejection, request)
        # Signed in between the two subrequests, in another tab perhaps: load the page again.
        if request.method == "GET" and is_navigation(request):
            return responses.redirect(request.url, request)
        message = "You are signed in now. Please try again."
        return responses.json_or_grpc_error(
            401, {"error": "try-again", "message": message}, message, request
        )


def auth_request_response(response: AuthzResponse, *extra: tuple[str, str]) -> HttpResponse:
    """Return 200, or 401, 403 or 503 with the reason in a header.

    Without `WWW-Authenticate`: nginx copies it onto the response of the challenge.
    """
    match response:
        case Allowed():
            return responses.allowed(response)
        case LoginRequired():
            return _refusal(401, *extra, reason="login")
        case Rejected(status=401):
            return _refusal(401, reason="credentials")
        case Rejected(status=503):
            return _refusal(503, reason="unavailable")
        case Rejected():
            return _refusal(403, reason=_REASONS.get(response.status, "forbidden"))
        case _:
            assert_never(response)


def _refusal(status: int, *extra: tuple[str, str], reason: str) -> HttpResponse:
    headers = ((REASON_HEADER, reason), responses.NO_STORE, *extra)
    return HttpResponse(status=status, headers=with_isolation_headers(status, headers))
