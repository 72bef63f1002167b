"""The adapter for Envoy's HTTP `ext_authz` filter with `path_prefix: /auth/envoy`.

The subrequest has the original method, Host and, behind the prefix, path; the scheme comes in a
header. Only status 200 allows, and the client's headers survive unless they are named for removal.
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
    """The adapter for Envoy. `trusted_hops` are proxies in front of it."""

    trusted_hops: NetworkSet = NO_NETWORKS

    @property
    def name(self) -> str:
        """The name in logs and metrics."""
        return "envoy"

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The standard attributes."""
        return STANDARD_ATTRIBUTES

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Parse method, Host and path of the subrequest itself. Raises `BadProxyRequest`."""
        # Cut once, from the raw target, before anything is resolved or decoded.
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
        """Return the response; an allowed one names the headers that Envoy has to remove."""
        http_response = responses.render(response, request)
        if not isinstance(response, Allowed):
            return http_response
        removed = response.cleared if response.cookie else (*response.cleared, "cookie")
        if not removed:
            return http_response
        return HttpResponse(
            status=200, headers=(*http_response.headers, (REMOVE_HEADER, ", ".join(removed)))
        )
