"""Rules about `server.adapters: [ingress-nginx]`: what the controller cannot tell apart, and that it is
retired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.headers import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import Found
    from authz_sidecar.core.urls import Origin

_ONE_LABEL, _ANY_DEPTH = "*.", "**."

Pattern = tuple[str, str, str]
"""Scheme, wildcard and host."""


def ingress_nginx_rules(config: Config) -> Iterator[Found]:
    """The controller serves a host's application at every port, and the port is the client's word."""
    if not _is_chosen(config):
        return
    places = [
        (at, wildcard_of(route.from_), place)
        for at, route in enumerate(config.routes)
        if (place := place_of(route)) is not None
    ]
    ports: dict[Pattern, dict[int | None, str]] = {}
    for _, wildcard, place in places:
        known = ports.setdefault((place.scheme, wildcard, place.host), {})
        known.setdefault(place.port, f"{place.scheme}://{wildcard}{place.authority}")
    for at, wildcard, place in places:
        others = (
            text
            for pattern in _covering(wildcard, place)
            for port, text in ports.get(pattern, {}).items()
            if port != place.port
        )
        if (other := next(others, None)) is not None:
            yield (
                (
                    f"differs from `{other}` by its port, which ingress-nginx leaves to the client:"
                    " give both the same"
                ),
                ("routes", at, "from"),
            )


def ingress_nginx_warnings(config: Config) -> Iterator[Found]:
    if _is_chosen(config):
        yield (
            (
                "ingress-nginx is retired and gets no security fixes since March 2026, plan to move:"
                " docs/ingress-nginx.md; until then `auth-url` has to be as `authz-sidecar snippet"
                " ingress-nginx` prints it, with `?host=$host&upgrade=$http_upgrade`"
            ),
            ("server", "adapters"),
        )


def wildcard_of(from_: str) -> str:
    authority = from_.partition("://")[2]
    return next((each for each in (_ANY_DEPTH, _ONE_LABEL) if authority.startswith(each)), "")


def _is_chosen(config: Config) -> bool:
    """Named, and not only one of all that answer by default."""
    server = config.server
    return "adapters" in server.model_fields_set and "ingress-nginx" in server.adapters


def _covering(wildcard: str, place: Origin) -> Iterator[Pattern]:
    """The patterns that cover a host of this place: of two that share a host, one covers the other's."""
    if not wildcard:
        yield place.scheme, "", place.host
    labels = (f"x.{place.host}" if wildcard else place.host).split(".")
    for depth in range(1, len(labels)):
        parent = ".".join(labels[depth:])
        if depth == 1:
            yield place.scheme, _ONE_LABEL, parent
        yield place.scheme, _ANY_DEPTH, parent
