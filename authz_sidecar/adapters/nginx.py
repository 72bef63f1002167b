"""nginx `auth_request` and its second call, the challenge.

nginx understands 2xx, 401 and 403 and turns everything else into 500, so the first answer says why
in a header and the second (`error_page 401 403 = @challenge`) is the whole answer for the client.
https://nginx.org/en/docs/http/ngx_http_auth_request_module.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from authz_sidecar.adapters import forward_auth, responses
from authz_sidecar.adapters.base import Answer, Passed, Refused, Reply, SignInFirst
from authz_sidecar.adapters.request_kind import is_navigation
from authz_sidecar.adapters.request_parsing import FACTS
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, Networks
from authz_sidecar.core.browser_headers import isolated
from authz_sidecar.core.types import REASON

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import RawRequest
    from authz_sidecar.core.types import CheckRequest, Fact

LIFETIME = "x-accel-expires"
_REASONS = {400: "bad-request", 403: "forbidden", 429: "throttled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    trusted_hops: Networks = NO_NETWORKS

    @property
    def name(self) -> str:
        return "nginx"

    @property
    def facts(self) -> frozenset[Fact]:
        return FACTS

    def parse(self, raw: RawRequest) -> CheckRequest:
        return forward_auth.parse(raw, adapter=self.name, trusted_hops=self.trusted_hops)

    def render(self, answer: Answer, request: CheckRequest | None) -> Reply:  # noqa: ARG002 - the first call says little
        reply = verify_reply(answer)
        if not isinstance(answer, Passed) or not answer.repeatable:
            return reply
        # Of the two that say how long, nginx obeys this one if it comes first; `Cache-Control:
        # no-store` is for whatever else may keep answers.
        # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache_valid
        return replace(reply, headers=((LIFETIME, str(answer.repeatable)), *reply.headers))


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxChallenge:
    """Never answers 200: what it says goes to the client in place of the application's page."""

    trusted_hops: Networks = NO_NETWORKS

    @property
    def name(self) -> str:
        return "nginx-challenge"

    @property
    def facts(self) -> frozenset[Fact]:
        return FACTS

    def parse(self, raw: RawRequest) -> CheckRequest:
        request = forward_auth.parse(raw, adapter="nginx", trusted_hops=self.trusted_hops)
        return replace(request, repeated=True)

    def render(self, answer: Answer, request: CheckRequest | None) -> Reply:
        if not isinstance(answer, Passed) or request is None:
            return responses.render(answer, request)
        if not request.header(REASON):
            # nginx itself refused (`deny`, `limit_except`): nothing we know speaks against it.
            refusal = Refused(status=403, reason="forbidden", message="The proxy refused this.")
            return responses.render(refusal, request)
        # Signed in between the two calls, in another tab perhaps: ask again from the start.
        if request.method == "GET" and is_navigation(request):
            return responses.redirect(request.url, request)
        message = "Signed in meanwhile. Please try again."
        return responses.machine(401, {"error": "try-again", "message": message}, message, request)


def verify_reply(answer: Answer, *extra: tuple[str, str]) -> Reply:
    """200, 401 or 403 with the reason, and 503 for trouble of our own. No `WWW-Authenticate`:
    nginx copies it onto whatever the challenge answers."""
    match answer:
        case Passed():
            return responses.passed(answer)
        case SignInFirst():
            return _refusal(401, *extra, reason="login")
        case Refused(status=401):
            return _refusal(401, reason="credentials")
        case Refused(status=503):
            return _refusal(503, reason="unavailable")
        case Refused():
            return _refusal(403, reason=_REASONS.get(answer.status, "forbidden"))
        case _:
            assert_never(answer)


def _refusal(status: int, *extra: tuple[str, str], reason: str) -> Reply:
    headers = ((REASON, reason), responses.NO_STORE, *extra)
    return Reply(status=status, headers=isolated(status, headers))
