"""Where a route is, as far as the rules of a configuration need to know; `routes` reads it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.urls import MalformedUrl, Origin, parse_origin

if TYPE_CHECKING:
    from authz_sidecar.config.schema import RouteConfig


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
