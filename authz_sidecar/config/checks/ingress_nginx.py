"""Rules about `server.adapters: [ingress-nginx]`: ports it cannot tell apart, and its
retirement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.headers import route_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import RuleViolation
    from authz_sidecar.core.urls import Origin

_ONE_LABEL_PREFIX, _ANY_DEPTH_PREFIX = "*.", "**."

OriginPattern = tuple[str, str, str]
"""Scheme, wildcard and host."""


def check_ingress_nginx(config: Config) -> Iterator[RuleViolation]:
    """Return routes that differ only by their port: the controller serves a host's application at
    every port, and takes the port from the client."""
    if not _is_listed_explicitly(config):
        return
    origins = [
        (index, wildcard_prefix(route.from_), origin)
        for index, route in enumerate(config.routes)
        if (origin := route_origin(route)) is not None
    ]
    ports: dict[OriginPattern, dict[int | None, str]] = {}
    for _, wildcard, origin in origins:
        host_ports = ports.setdefault((origin.scheme, wildcard, origin.host), {})
        host_ports.setdefault(origin.port, f"{origin.scheme}://{wildcard}{origin.authority}")
    for index, wildcard, origin in origins:
        others = (
            text
            for pattern in _covering_patterns(wildcard, origin)
            for port, text in ports.get(pattern, {}).items()
            if port != origin.port
        )
        if (other := next(others, None)) is not None:
            yield (
                (
                    f"differs from `{other}` by its port, which ingress-nginx takes from the client:"
                    " use the same port for both"
                ),
                ("routes", index, "from"),
            )


def find_ingress_nginx_warnings(config: Config) -> Iterator[RuleViolation]:
    """Return the warning that the controller is retired, where it is listed explicitly."""
    if _is_listed_explicitly(config):
        yield (
            (
                "ingress-nginx is retired and gets no security fixes since March 2026, plan to move:"
                " docs/ingress-nginx.md; until then `auth-url` has to be as `authz-sidecar snippet"
                " ingress-nginx` prints it, with `?host=$host&upgrade=$http_upgrade`"
            ),
            ("server", "adapters"),
        )


def wildcard_prefix(from_: str) -> str:
    """Return the wildcard that a route's `from` begins with (`*.` or `**.`), or an empty text."""
    authority = from_.partition("://")[2]
    return next(
        (
            prefix
            for prefix in (_ANY_DEPTH_PREFIX, _ONE_LABEL_PREFIX)
            if authority.startswith(prefix)
        ),
        "",
    )


def _is_listed_explicitly(config: Config) -> bool:
    """Whether the operator lists it, rather than having it by default."""
    server = config.server
    return "adapters" in server.model_fields_set and "ingress-nginx" in server.adapters


def _covering_patterns(wildcard: str, origin: Origin) -> Iterator[OriginPattern]:
    """The patterns that cover the hosts of this origin: of two that share a host, one covers the other."""
    if not wildcard:
        yield origin.scheme, "", origin.host
    labels = (f"x.{origin.host}" if wildcard else origin.host).split(".")
    for depth in range(1, len(labels)):
        parent = ".".join(labels[depth:])
        if depth == 1:
            yield origin.scheme, _ONE_LABEL_PREFIX, parent
        yield origin.scheme, _ANY_DEPTH_PREFIX, parent
