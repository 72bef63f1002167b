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
from authz_sidecar.adapters.base import Allowed, AuthzResponse, HttpResponse
from authz_sidecar.adapters.request_parsing import STANDARD_ATTRIBUTES, build_request
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet
from authz_sidecar.errors import BadProxyRequest

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import SubRequest
    from authz_sidecar.core.types import CheckRequest, RequestAttribute

PATH_PREFIX = "/auth/envoy"
PROTO_HEADER = "x-forwarded-proto"
REMOVE_HEADER = "x-envoy-auth-headers-to-remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envoy:
    trusted_hops: NetworkSet = NO_NETWORKS

    @property
    def name(self) -> str:
        return "envoy"

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        return STANDARD_ATTRIBUTES

    def parse(self, raw: SubRequest) -> CheckRequest:
        # Cut once, from the raw target: nobody has resolved or decoded anything yet.
        if not raw.target.startswith(f"{PATH_PREFIX}/"):
            raise BadProxyRequest(f"the path does not begin with `{PATH_PREFIX}/`")
        return build_request(
            raw.headers,
            adapter=self.name,
            scheme=request_parsing.require_single(raw.headers, PROTO_HEADER),
            target=raw.target.removeprefix(PATH_PREFIX),
            method=raw.method,
            host=request_parsing.require_single(raw.headers, "host"),
            trusted_hops=self.trusted_hops,
        )

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        reply = responses.render(response, request)
        if not isinstance(response, Allowed):
            return reply
        removed = response.cleared if response.cookie else (*response.cleared, "cookie")
        if not removed:
            return reply
        return HttpResponse(
            status=200, headers=(*reply.headers, (REMOVE_HEADER, ", ".join(removed)))
        )
