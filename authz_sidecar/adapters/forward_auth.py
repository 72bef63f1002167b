"""The `X-Forwarded-*` family, for proxies that set all of it themselves and relay any answer.

Traefik `forwardAuth`, Caddy `forward_auth` and HAProxy with `deploy/haproxy/authz.lua` ask in
exactly the same way, so one adapter serves all three under their own names.
https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/forwardauth/
https://caddyserver.com/docs/caddyfile/directives/forward_auth
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.adapters import request_parsing, responses
from authz_sidecar.adapters.request_parsing import FACTS, request_of
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, Networks

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import Answer, RawRequest, Reply
    from authz_sidecar.core.types import CheckRequest, Fact

METHOD = "x-forwarded-method"
PROTO = "x-forwarded-proto"
HOST = "x-forwarded-host"
URI = "x-forwarded-uri"


def parse(raw: RawRequest, *, adapter: str, trusted_hops: Networks) -> CheckRequest:
    return request_of(
        raw.headers,
        adapter=adapter,
        scheme=request_parsing.one(raw.headers, PROTO),
        target=request_parsing.one(raw.headers, URI),
        method=request_parsing.one(raw.headers, METHOD),
        host=request_parsing.one(raw.headers, HOST),
        trusted_hops=trusted_hops,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaying:
    """A proxy that passes our answer on as it is."""

    name: str
    trusted_hops: Networks = NO_NETWORKS

    @property
    def facts(self) -> frozenset[Fact]:
        return FACTS

    def parse(self, raw: RawRequest) -> CheckRequest:
        return parse(raw, adapter=self.name, trusted_hops=self.trusted_hops)

    def render(self, answer: Answer, request: CheckRequest | None) -> Reply:
        return responses.render(answer, request)
