"""nginx `auth_request` and its second call, the challenge.

nginx understands 2xx, 401 and 403 and turns everything else into 500, so the first answer says why
in a header and the second (`error_page 401 403 = @challenge`) is the whole answer for the client.
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
    trusted_hops: NetworkSet = NO_NETWORKS

    @property
    def name(self) -> str:
        return "nginx"

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        return STANDARD_ATTRIBUTES

    def parse(self, raw: SubRequest) -> CheckRequest:
        return forward_auth.parse(raw, adapter=self.name, trusted_hops=self.trusted_hops)

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:  # noqa: ARG002 - the first call says little
        reply = auth_request_response(response)
        if not isinstance(response, Allowed) or not response.max_age:
            return reply
        # Of the two that say how long, nginx obeys this one if it comes first; `Cache-Control:
        # no-store` is for whatever else may keep answers.
        # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid
        return replace(reply, headers=((ACCEL_EXPIRES, str(response.max_age)), *reply.headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxChallenge:
    """Never answers 200: what it says goes to the client in place of the application's page."""

    trusted_hops: NetworkSet = NO_NETWORKS

    @property
    def name(self) -> str:
        return "nginx-challenge"

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        return STANDARD_ATTRIBUTES

    def parse(self, raw: SubRequest) -> CheckRequest:
        request = forward_auth.parse(raw, adapter="nginx", trusted_hops=self.trusted_hops)
        return replace(request, is_challenge_phase=True)

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        if not isinstance(response, Allowed) or request is None:
            return responses.render(response, request)
        if not request.header(REASON_HEADER):
            # nginx itself refused (`deny`, `limit_except`): nothing we know speaks against it.
            refusal = Rejected(status=403, reason="forbidden", message="The proxy refused this.")
            return responses.render(refusal, request)
        # Signed in between the two calls, in another tab perhaps: ask again from the start.
        if request.method == "GET" and is_navigation(request):
            return responses.redirect(request.url, request)
        message = "Signed in meanwhile. Please try again."
        return responses.json_or_grpc_error(
            401, {"error": "try-again", "message": message}, message, request
        )


def auth_request_response(response: AuthzResponse, *extra: tuple[str, str]) -> HttpResponse:
    """200, 401 or 403 with the reason, and 503 for trouble of our own. No `WWW-Authenticate`:
    nginx copies it onto whatever the challenge answers."""
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
