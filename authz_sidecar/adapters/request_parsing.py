"""How every adapter reads a fact: exactly one header, exactly one form, or a refusal.

No adapter has a default for what only its proxy can know, and none looks at a second family of
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

# A client's copy of these is no better than its word about itself, so no rule may rest on them.
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
    """The value of a header that must arrive exactly once and not empty."""
    values = [value for key, value in headers if key == name]
    if len(values) != 1 or not values[0]:
        told = "an empty one" if values == [""] else str(len(values))
        raise BadProxyRequest(f"expected one `{name}` header, got {told}")
    return values[0]


def parse_method(text: str) -> str:
    # RFC 9110 section 9.1: methods are case-sensitive; a rule on `POST` must not miss `post`.
    if not _METHOD.fullmatch(text):
        raise BadProxyRequest(f"`{text[:40]!a}` is not a method")
    return text


def parse_scheme(text: str) -> str:
    """http or https; Traefik says `ws` and `wss` for upgrades."""
    known = _SCHEMES.get(text)
    if known is None:
        raise BadProxyRequest(f"`{text[:40]!a}` is not a scheme")
    return known


def parse_origin(host: str, *, scheme: str) -> Origin:
    try:
        return parse_authority(host, scheme=scheme)
    except MalformedUrl as error:
        raise BadProxyRequest(f"host: {error}") from error


def parse_target(text: str) -> tuple[str, str | None]:
    """Origin-form only (RFC 9112 section 3.2.1), as `(path, query)`.

    In a query browsers leave `\\` as it is (WHATWG URL, query percent-encode set), and nobody
    takes it for a separator there; in a path somebody does.
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
    """The right-most address of `X-Forwarded-For` that is not one of our own hops: what stands
    left of it was written by the client. None where nothing there can be believed."""
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
    """Proxies tell of an upgrade in different ways; any of them will do."""
    return reported_scheme in {"ws", "wss"} or any(
        name in {"sec-websocket-key", "sec-websocket-version"}
        or (name == "upgrade" and value.lower() == "websocket")
        for name, value in headers
    )


def client_headers(headers: Headers) -> Headers:
    """What the client said: without what any proxy writes on a question, or a hop on its way."""
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
    """`headers` are all that the proxy sent; the others are as it said them, none of them judged yet.
    Raises `BadProxyRequest`."""
    known_scheme = parse_scheme(scheme)
    path, query = parse_target(target)
    return CheckRequest(
        adapter=adapter,
        method=parse_method(method),
        origin=parse_origin(host, scheme=known_scheme),
        path=path,
        query=query,
        client=client_address(headers, trusted_hops=trusted_hops),
        headers=client_headers(headers),
        websocket=is_websocket(headers, reported_scheme=scheme),
        unsupported_upgrade=requests_unsupported_upgrade(headers),
        attributes=STANDARD_ATTRIBUTES,
    )
