"""ingress-nginx with the annotations `auth-url` and `auth-signin`.

The controller sets `X-Original-URL` and `X-Original-Method`, and sends the browser where the
annotation says; `X-Auth-Redirect` carries the address we would have sent it to.
https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#external-authentication
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.proxies import reading
from authz_sidecar.proxies.base import Answer, SignInFirst
from authz_sidecar.proxies.facts import FACTS, request_of
from authz_sidecar.proxies.nginx import verify_reply
from authz_sidecar.proxies.trust import NO_NETWORKS, Networks

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest, Fact
    from authz_sidecar.proxies.base import RawRequest, Reply

METHOD = "x-original-method"
URL = "x-original-url"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressNginx:
    trusted_hops: Networks = NO_NETWORKS

    @property
    def name(self) -> str:
        return "ingress-nginx"

    @property
    def facts(self) -> frozenset[Fact]:
        return FACTS

    def parse(self, raw: RawRequest) -> CheckRequest:
        scheme, host, target = _split(reading.one(raw.headers, URL))
        return request_of(
            raw.headers,
            adapter=self.name,
            scheme=scheme,
            target=target,
            method=reading.one(raw.headers, METHOD),
            host=host,
            trusted_hops=self.trusted_hops,
        )

    def render(self, answer: Answer, request: CheckRequest | None) -> Reply:  # noqa: ARG002 - the first call says little
        redirect = (
            (("x-auth-redirect", answer.location),) if isinstance(answer, SignInFirst) else ()
        )
        return verify_reply(answer, *redirect)


def _split(url: str) -> tuple[str, str, str]:
    """`scheme://authority/target`. Only the first slash ends the authority, so that a backslash,
    a `?` or a `#` before it fails the grammar of hosts."""
    scheme, separator, rest = url.partition("://")
    authority, slash, target = rest.partition("/")
    if not separator or not slash:
        raise BadProxyRequest(f"`{URL}` is not an absolute URL with a path")
    return scheme, authority, f"/{target}"
