"""Converts `depends_on` of a Pomerium route: hosts that are signed in together with its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz_sidecar.core.urls import MalformedUrl, Origin, parse_origin
from authz_sidecar.migrate.pomerium.go_values import parse_string_list
from authz_sidecar.migrate.pomerium.report import ConversionReport, unsupported
from authz_sidecar.routes.model import HostPattern, WildcardDepth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from authz_sidecar.core.source_locations import PathStep

MAX_DEPENDENT_HOSTS = 5


def convert_dependencies(
    route: Mapping[str, Any],
    path: tuple[PathStep, ...],
    *,
    host: HostPattern,
    hosts: Iterable[HostPattern],
    report: ConversionReport,
) -> list[str]:
    """Return the origins of `depends_on`, at most `MAX_DEPENDENT_HOSTS`; those left out go into the
    report. Pomerium names hosts, with a port that is not the default one; `hosts` are those of the
    converted routes."""
    patterns, origins, left_out = tuple(hosts), dict[str, None](), list[str]()
    for name in parse_string_list(route.get("depends_on")):
        try:
            origin = parse_origin(f"{host.scheme}://{name}")
        except MalformedUrl:
            left_out.append(name)
            continue
        if any(_covers(pattern, origin) for pattern in patterns):
            origins[str(origin)] = None
        else:
            left_out.append(name)
    converted = [*origins][:MAX_DEPENDENT_HOSTS]
    left_out += [*origins][MAX_DEPENDENT_HOSTS:]
    if left_out:
        names = ", ".join(f"`{name}`" for name in left_out)
        reason = (
            f"no route protects {names}, or there are more than {MAX_DEPENDENT_HOSTS}: left out"
        )
        report.record((*path, "depends_on"), unsupported(reason), route["depends_on"])
    return converted


def _covers(pattern: HostPattern, origin: Origin) -> bool:
    if (pattern.scheme, pattern.port) != (origin.scheme, origin.port):
        return False
    match pattern.depth:
        case WildcardDepth.EXACT:
            return origin.host == pattern.name
        case WildcardDepth.ONE_LABEL:
            return origin.host.partition(".")[2] == pattern.name
        case WildcardDepth.ANY:
            return origin.host.endswith(f".{pattern.name}")
