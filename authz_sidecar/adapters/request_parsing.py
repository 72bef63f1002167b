"""The parsing of request attributes, the same for every adapter: exactly one header in exactly one
form, or a refusal.

No adapter has a default for what only its proxy can report, and none reads a second family of
headers when the first is missing: that is how forward-auth services are bypassed.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from authz_sidecar.core.networks import unmap_ipv4
from authz_sidecar.core.path_normalization import MAX_TARGET_BYTES
from authz_sidecar.core.protocol_upgrade import requests_unsupported_upgrade
from authz_sidecar.core.types import CheckRequest, RequestAttribute
from authz_sidecar.core.urls import MalformedUrl, Origin, check_visible_ascii, parse_authority
from authz_sidecar.errors import BadProxyRequest

if TYPE_CHECKING:
    from authz_sidecar.adapters.trusted_peers import NetworkSet
    from authz_sidecar.core.types import Address, Headers

_METHOD = re.compile(r"[A-Z][A-Z_-]{0,31}")
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_MAX_HOPS = 64

# Headers that proxies write or hops consume: no rule may depend on a client's copy of them.
_PROXY_HEADERS = frozenset(
    [
        "client-cert",
        "client-cert-chain",
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
        "x-sent-from",
        "x-auth-request-redirect",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-method",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-tls-client-cert",
        "x-forwarded-tls-client-cert-info",
        "x-forwarded-uri",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-scheme",
        "x-envoy-external-address",
        "x-envoy-expected-rq-timeout-ms",
        "x-envoy-internal",
    ]
)


def require_single(headers: Headers, name: str) -> str:
    """Return the value of a header that must occur exactly once. Raises `BadProxyRequest`
    otherwise, and for an empty value."""
    values = [value for key, value in headers if key == name]
    if len(values) != 1 or not values[0]:
        received = "an empty one" if values == [""] else str(len(values))
        raise BadProxyRequest(f"expected one `{name}` header, got {received}")
    return values[0]


def parse_method(text: str) -> str:
    """Return the method, case-sensitive (RFC 9110 section 9.1). Raises `BadProxyRequest`."""
    # RFC 9110 section 9.1: methods are case-sensitive; a rule on `POST` must not miss `post`.
    if not _METHOD.fullmatch(text):
        raise BadProxyRequest(f"`{text[:40]!a}` is not a method")
    return text


def parse_scheme(text: str) -> str:
    """Return `http` or `https`; Traefik reports `ws` and `wss` for upgrades. Raises
    `BadProxyRequest`."""
    scheme = _SCHEMES.get(text)
    if scheme is None:
        raise BadProxyRequest(f"`{text[:40]!a}` is not a scheme")
    return scheme


def parse_origin(host: str, *, scheme: str) -> Origin:
    """Return the origin of a Host value. Raises `BadProxyRequest`."""
    try:
        return parse_authority(host, scheme=scheme)
    except MalformedUrl as error:
        raise BadProxyRequest(f"host: {error}") from error


def parse_target(text: str) -> tuple[str, str | None]:
    r"""Return `(path, query)` of a target in origin-form (RFC 9112 section 3.2.1).

    Raises `BadProxyRequest` for any other form. In a query browsers leave `\` as it is (WHATWG URL,
    query percent-encode set) and it is no separator there; in a path some servers take it for one.
    """
    if len(text) > MAX_TARGET_BYTES:
        raise BadProxyRequest(f"request target of {len(text)} bytes")
    if not text.startswith("/"):
        raise BadProxyRequest(f"request target `{text[:40]!a}` does not begin with a slash")
    path, mark, query = text.partition("?")
    try:
        check_visible_ascii(path)
        check_visible_ascii(query.replace("\\", ""))
    except MalformedUrl as error:
        raise BadProxyRequest(f"request target: {error}") from error
    return path, query if mark else None


def client_address(headers: Headers, *, trusted_hops: NetworkSet) -> Address | None:
    """Return the right-most address of `X-Forwarded-For` that is not a trusted hop; None without one.

    Everything left of it was written by the client.
    """
    hops = [
        hop.strip(" \t")
        for name, value in headers
        if name == "x-forwarded-for"
        for hop in value.split(",")
    ]
    for hop in reversed(hops[-_MAX_HOPS:]):
        try:
            address = unmap_ipv4(ip_address(hop))
        except ValueError:
            return None
        if not trusted_hops.contains(address):
            return address
    return None


def is_websocket(headers: Headers, *, reported_scheme: str) -> bool:
    """Whether a request is a WebSocket upgrade. Proxies report it in different ways; any of them
    will do."""
    return reported_scheme in {"ws", "wss"} or any(
        name in {"sec-websocket-key", "sec-websocket-version"}
        or (name == "upgrade" and value.lower() == "websocket")
        for name, value in headers
    )


def client_headers(headers: Headers) -> Headers:
    """Return the client's own headers, without those that a proxy or hop writes."""
    return tuple((name, value) for name, value in headers if name not in _PROXY_HEADERS)


STANDARD_ATTRIBUTES = frozenset(
    {
        RequestAttribute.METHOD,
        RequestAttribute.PATH,
        RequestAttribute.QUERY,
        RequestAttribute.CLIENT_ADDRESS,
        RequestAttribute.HEADERS,
    }
)


def build_request(
    headers: Headers,
    *,
    adapter: str,
    scheme: str,
    target: str,
    method: str,
    host: str,
    trusted_hops: NetworkSet,
) -> CheckRequest:
    """Return the request from a proxy's raw attributes; `headers` are all that the proxy sent.
    Raises `BadProxyRequest`."""
    request_scheme = parse_scheme(scheme)
    path, query = parse_target(target)
    return CheckRequest(
        adapter=adapter,
        method=parse_method(method),
        origin=parse_origin(host, scheme=request_scheme),
        path=path,
        query=query,
        client=client_address(headers, trusted_hops=trusted_hops),
        headers=client_headers(headers),
        websocket=is_websocket(headers, reported_scheme=scheme),
        unsupported_upgrade=requests_unsupported_upgrade(headers),
        attributes=STANDARD_ATTRIBUTES,
    )
