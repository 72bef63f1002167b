"""Rules about the headers that applications receive: reserved names, and duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, Origin, parse_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RouteConfig
    from authz_sidecar.core.source_locations import RuleViolation

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
_RESERVED_PREFIXES = ("x-forwarded-", "x-original-", "x-envoy-", "x-authz-", "sec-")


def check_headers(config: Config) -> Iterator[RuleViolation]:
    """Return what is wrong with the headers for claims, certificates and routes."""
    yield from _check_claim_headers(config)
    yield from _check_route_headers(config)


def _check_claim_headers(config: Config) -> Iterator[RuleViolation]:
    spellings: dict[str, str] = {}
    for header in config.headers.claims:
        normalized = header.lower().replace("_", "-")
        if not is_settable_header(header):
            yield f"`{header}` is a reserved header name", ("headers", "claims", header)
        elif normalized in spellings:
            yield (
                f"differs from `{spellings[normalized]}` in spelling only",
                ("headers", "claims", header),
            )
        spellings[normalized] = header
    groups = config.headers.groups
    if len(groups) > 1 and {"policy", "all"} & set(groups):
        yield "must be `policy`, `all`, or a list of names, not a mixture", ("headers", "groups")
    if (certificate := config.server.client_certificate) is not None:
        normalized = certificate.header.lower()
        is_standard = normalized in ("x-forwarded-client-cert", "x-forwarded-tls-client-cert")
        if normalized in _RESERVED_HEADERS or (
            normalized.startswith(_RESERVED_PREFIXES) and not is_standard
        ):
            yield (
                f"`{certificate.header}` is a reserved header name",
                (
                    "server",
                    "client_certificate",
                    "header",
                ),
            )


def _check_route_headers(config: Config) -> Iterator[RuleViolation]:
    for index, route in enumerate(config.routes):
        spellings: dict[str, str] = {}
        for header in route.set_request_headers:
            path = ("routes", index, "set_request_headers", header)
            first = spellings.setdefault(header.lower(), header)
            if not is_settable_header(header):
                yield f"`{header}` is a reserved header name, set it in the proxy", path
            elif first != header:
                yield f"differs from `{first}` in spelling only", path


def is_settable_header(header: str) -> bool:
    """Whether the sidecar may set a header of this name: those that frame or route a message, and
    those of the proxy, are reserved."""
    lowercase = header.lower()
    return lowercase not in _RESERVED_HEADERS and not lowercase.startswith(_RESERVED_PREFIXES)


def route_origin(route: RouteConfig) -> Origin | None:
    """Return the origin of a route, with a wildcard the origin of its parent domain; None for an
    invalid one, which `routes` reports."""
    scheme, separator, authority = route.from_.partition("://")
    try:
        return parse_origin(
            f"{scheme}{separator}{authority.removeprefix('**.').removeprefix('*.')}"
        )
    except MalformedUrl:
        return None
