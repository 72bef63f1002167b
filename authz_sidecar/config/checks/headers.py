"""Rules about the headers that applications receive: which names are ours to set, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, Origin, parse_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RouteConfig
    from authz_sidecar.core.source_locations import Found

# RFC 9110 sections 7 and 10.1: those that frame or route the message, and those that we or the
# proxy own. An identity header of such a name would change what the request is.
_RESERVED_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
        "x-request-id",
    }
)
_RESERVED_FAMILIES = ("x-forwarded-", "x-original-", "x-envoy-", "x-authz-", "sec-")


def header_rules(config: Config) -> Iterator[Found]:
    yield from _headers(config)
    yield from _headers_of_routes(config)


def _headers(config: Config) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for header in config.headers.claims:
        plain = header.lower().replace("_", "-")
        if not is_ours(header):
            yield f"`{header}` is not ours to set", ("headers", "claims", header)
        elif plain in seen:
            yield f"differs from `{seen[plain]}` in spelling only", ("headers", "claims", header)
        seen[plain] = header
    groups = config.headers.groups
    if len(groups) > 1 and {"policy", "all"} & set(groups):
        yield "is `policy`, `all`, or a list of names, not a mixture", ("headers", "groups")
    if (certificate := config.server.client_certificate) is not None:
        plain = certificate.header.lower()
        usual = plain in ("x-forwarded-client-cert", "x-forwarded-tls-client-cert")
        if plain in _RESERVED_HEADERS or (plain.startswith(_RESERVED_FAMILIES) and not usual):
            yield (
                f"`{certificate.header}` says something else",
                (
                    "server",
                    "client_certificate",
                    "header",
                ),
            )


def _headers_of_routes(config: Config) -> Iterator[Found]:
    for at, route in enumerate(config.routes):
        seen: dict[str, str] = {}
        for header in route.set_request_headers:
            path = ("routes", at, "set_request_headers", header)
            first = seen.setdefault(header.lower(), header)
            if not is_ours(header):
                yield f"`{header}` is not ours to set, let the proxy do it", path
            elif first != header:
                yield f"differs from `{first}` in spelling only", path


def is_ours(header: str) -> bool:
    plain = header.lower()
    return plain not in _RESERVED_HEADERS and not plain.startswith(_RESERVED_FAMILIES)


def place_of(route: RouteConfig) -> Origin | None:
    """The origin of a route, of its parent name where it has a wildcard; None where `routes` will
    complain."""
    scheme, separator, authority = route.from_.partition("://")
    try:
        return parse_origin(
            f"{scheme}{separator}{authority.removeprefix('**.').removeprefix('*.')}"
        )
    except MalformedUrl:
        return None
