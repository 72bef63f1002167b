"""Envoy's HTTP `ext_authz` filter with `path_prefix: /auth/envoy`.

The original method, Host and path are the request's own, the path behind the prefix; only the
scheme comes in a header. Allow is exactly 200, and headers the client sent survive unless they are
named for removal.
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.adapters import request_parsing, responses
from authz_sidecar.adapters.base import Answer, Passed, Reply
from authz_sidecar.adapters.request_parsing import FACTS, request_of
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, Networks
from authz_sidecar.errors import BadProxyRequest

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import RawRequest
    from authz_sidecar.core.types import CheckRequest, Fact

PREFIX = "/auth/envoy"
PROTO = "x-forwarded-proto"
REMOVE = "x-envoy-auth-headers-to-remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envoy:
    trusted_hops: Networks = NO_NETWORKS

    @property
    def name(self) -> str:
        return "envoy"

    @property
    def facts(self) -> frozenset[Fact]:
        return FACTS

    def parse(self, raw: RawRequest) -> CheckRequest:
        # Cut once, from the raw target: nobody has resolved or decoded anything yet.
        if not raw.target.startswith(f"{PREFIX}/"):
            raise BadProxyRequest(f"the path does not begin with `{PREFIX}/`")
        return request_of(
            raw.headers,
            adapter=self.name,
            scheme=request_parsing.one(raw.headers, PROTO),
            target=raw.target.removeprefix(PREFIX),
            method=raw.method,
            host=request_parsing.one(raw.headers, "host"),
            trusted_hops=self.trusted_hops,
        )

    def render(self, answer: Answer, request: CheckRequest | None) -> Reply:
        reply = responses.render(answer, request)
        if not isinstance(answer, Passed):
            return reply
        removed = answer.cleared if answer.cookie else (*answer.cleared, "cookie")
        if not removed:
            return reply
        return Reply(status=200, headers=(*reply.headers, (REMOVE, ", ".join(removed))))
