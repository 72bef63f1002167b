"""The same facts as each proxy sends them to us (from recorded traffic), for tests of adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.adapters.base import SubRequest
from authz_sidecar.adapters.registry import NAMES, enabled_adapters
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.adapters.client_certificates import CertificateHeader
    from authz_sidecar.core.types import Headers

CHECK_PATHS = {name: f"/auth/{name}" for name in NAMES} | {
    "nginx challenge": "/auth/nginx/challenge"
}


@dataclass(frozen=True, kw_only=True)
class ClientRequest:
    """A request as the client sent it to the proxy."""

    method: str = "GET"
    proto: str = "https"
    host: str = "app.example.com"
    target: str = "/"
    headers: Headers = ()
    client: str = "203.0.113.7"
    websocket: bool = False
    certificate: str | None = None
    """As the controller alone tells it."""


def find_adapter(
    name: str,
    *,
    trusted_hops: NetworkSet = NO_NETWORKS,
    certificate: CertificateHeader | None = None,
) -> Adapter:
    adapter, path = name.partition(" ")[0], CHECK_PATHS[name]
    by_path = enabled_adapters([adapter], trusted_hops=trusted_hops, certificate=certificate)
    return by_path[f"{path}/" if adapter == "envoy" else path]


def _nginx(original: ClientRequest, target: str = "/auth/nginx") -> SubRequest:
    lines = [
        ("host", original.host),
        ("x-forwarded-method", original.method),
        ("x-forwarded-proto", original.proto),
        ("x-forwarded-host", original.host),
        ("x-forwarded-uri", original.target),
        ("x-forwarded-for", original.client),
        *original.headers,
    ]
    if original.websocket:
        lines += [("sec-websocket-version", "13"), ("sec-websocket-key", "a")]
    return SubRequest(method="GET", target=target, headers=tuple(lines), peer=None)


def _nginx_challenge(original: ClientRequest) -> SubRequest:
    first = _nginx(original, "/auth/nginx/challenge")
    return SubRequest(
        method="GET",
        target=first.target,
        headers=(*first.headers, ("x-authz-reason", "login")),
        peer=None,
    )


def ingress_nginx_target(host: str, *, upgrade: str = "", certificate: str | None = None) -> str:
    """The address of the controller's question, as nginx makes it of the annotation: `$host` is the
    host in lower case, without its port and one trailing dot."""
    name, _, port = host.rpartition(":")
    normalized = (name if port.isdecimal() else host).lower().removesuffix(".")
    query = f"host={normalized}&upgrade={upgrade}"
    if certificate is not None:
        query += f"&certificate={certificate}"
    return f"/auth/ingress-nginx?{query}"


def _ingress_nginx(original: ClientRequest) -> SubRequest:
    lines = [
        ("x-request-id", "5f0c"),
        ("host", "authz.example.internal"),
        ("x-original-url", f"{original.proto}://{original.host}{original.target}"),
        ("x-original-method", original.method),
        ("x-sent-from", "nginx-ingress-controller"),
        ("x-real-ip", original.client),
        ("x-forwarded-for", original.client),
        ("x-auth-request-redirect", original.target),
        *original.headers,
    ]
    if original.websocket:
        lines += [("sec-websocket-version", "13"), ("sec-websocket-key", "a")]
    # nginx keeps `Upgrade` from the service it asks; the annotation tells it.
    lines = [line for line in lines if line[0] != "upgrade"]
    upgrade = [value for name, value in original.headers if name == "upgrade"]
    target = ingress_nginx_target(
        original.host,
        upgrade="websocket" if original.websocket else ", ".join(upgrade),
        certificate=original.certificate,
    )
    return SubRequest(method="GET", target=target, headers=tuple(lines), peer=None)


def _traefik(original: ClientRequest) -> SubRequest:
    proto = original.proto
    lines = [
        ("host", "127.0.0.1:9180"),
        *original.headers,
        ("x-forwarded-for", original.client),
        ("x-forwarded-host", original.host),
        ("x-forwarded-method", original.method),
        ("x-forwarded-port", "443"),
        ("x-forwarded-server", "edge"),
        ("x-forwarded-uri", original.target),
        ("x-real-ip", original.client),
    ]
    if original.websocket:
        proto = {"https": "wss", "http": "ws"}[proto]
        lines += [("sec-websocket-version", "13"), ("sec-websocket-key", "a")]
    lines.append(("x-forwarded-proto", proto))
    return SubRequest(method="GET", target="/auth/traefik", headers=tuple(lines), peer=None)


def _caddy(original: ClientRequest) -> SubRequest:
    lines = [
        ("host", original.host),
        *original.headers,
        ("via", "1.1 Caddy"),
        ("x-forwarded-for", original.client),
        ("x-forwarded-host", original.host),
        ("x-forwarded-method", original.method),
        ("x-forwarded-proto", original.proto),
        ("x-forwarded-uri", original.target),
    ]
    if original.websocket:
        lines += [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "a"),
        ]
    return SubRequest(method="GET", target="/auth/caddy", headers=tuple(lines), peer=None)


def _haproxy(original: ClientRequest) -> SubRequest:
    nginx_request = _nginx(original, "/auth/haproxy")
    headers = tuple(
        ("host", "127.0.0.1:9180") if name == "host" else (name, value)
        for name, value in nginx_request.headers
    )
    return SubRequest(method="GET", target="/auth/haproxy", headers=headers, peer=None)


def _envoy(original: ClientRequest) -> SubRequest:
    lines = [
        ("host", original.host),
        ("content-length", "0"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-proto", original.proto),
        ("x-forwarded-for", original.client),
        ("x-envoy-expected-rq-timeout-ms", "3000"),
        *original.headers,
    ]
    if original.websocket:
        lines += [
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "a"),
        ]
    return SubRequest(
        method=original.method,
        target=f"/auth/envoy{original.target}",
        headers=tuple(lines),
        peer=None,
    )


REQUEST_BUILDERS: dict[str, Callable[[ClientRequest], SubRequest]] = {
    "nginx": _nginx,
    "nginx challenge": _nginx_challenge,
    "ingress-nginx": _ingress_nginx,
    "traefik": _traefik,
    "envoy": _envoy,
    "caddy": _caddy,
    "haproxy": _haproxy,
}

UNMODIFIED_RESPONSE_ADAPTERS = ("nginx challenge", "traefik", "envoy", "caddy", "haproxy")
"""The dialects in which a refusal reaches the client as we write it."""
