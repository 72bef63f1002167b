"""The adapter for proxies that set all `X-Forwarded-*` headers themselves and relay any response.

Traefik `forwardAuth`, Caddy `forward_auth` and HAProxy with `deploy/haproxy/authz.lua` send the
same subrequest, so one adapter serves all three under their own names.
https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/forwardauth/
https://caddyserver.com/docs/caddyfile/directives/forward_auth
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.adapters import request_parsing, responses
from authz_sidecar.adapters.request_parsing import STANDARD_ATTRIBUTES, build_request
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import AuthzResponse, HttpResponse, SubRequest
    from authz_sidecar.core.types import CheckRequest, RequestAttribute

METHOD = "x-forwarded-method"
PROTO = "x-forwarded-proto"
HOST = "x-forwarded-host"
URI = "x-forwarded-uri"


def parse(raw: SubRequest, *, adapter: str, trusted_hops: NetworkSet) -> CheckRequest:
    """Parse the `X-Forwarded-*` headers of a subrequest. Raises `BadProxyRequest`."""
    return build_request(
        raw.headers,
        adapter=adapter,
        scheme=request_parsing.require_single(raw.headers, PROTO),
        target=request_parsing.require_single(raw.headers, URI),
        method=request_parsing.require_single(raw.headers, METHOD),
        host=request_parsing.require_single(raw.headers, HOST),
        trusted_hops=trusted_hops,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuth:
    """The adapter of a proxy that relays the response unchanged."""

    name: str
    trusted_hops: NetworkSet = NO_NETWORKS

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The standard attributes."""
        return STANDARD_ATTRIBUTES

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Parse the `X-Forwarded-*` headers. Raises `BadProxyRequest`."""
        return parse(raw, adapter=self.name, trusted_hops=self.trusted_hops)

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        """Return the response for the client."""
        return responses.render(response, request)
