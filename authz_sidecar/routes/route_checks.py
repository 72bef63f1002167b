"""Checks of routes and their policies that the grammar of either cannot make: routes that no
request reaches, capitals in the rules of a case-insensitive route, and record tables that do not
exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.policy.criteria.record import table_of
from authz_sidecar.routes.model import HostPattern, PathKind, PathRule, Route
from authz_sidecar.routes.path_index import split_segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_sidecar.core.source_locations import SourceMap
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.model import Operator
    from authz_sidecar.policy.records import RecordTables

_EVERYTHING = (".*", "/.*", ".+", "/?.*")


def find_overlaps(routes: Iterable[Route], source_map: SourceMap) -> Iterator[Problem]:
    """Yields a problem for each route that no request reaches: an earlier one has the same paths,
    or a regular expression takes every path."""
    by_host: dict[HostPattern, list[Route]] = {}
    for route in routes:
        by_host.setdefault(route.host, []).append(route)
    for of_host in by_host.values():
        if len(of_host) > 1:
            yield from _of_one_host(of_host, source_map)


def _of_one_host(routes: list[Route], source_map: SourceMap) -> Iterator[Problem]:
    first_by_key: dict[tuple[PathKind, str, bool], Route] = {}
    catch_all = next((route for route in routes if _takes_everything(route)), None)
    for index, route in enumerate(routes):
        twin = first_by_key.setdefault(_key(route), route)
        if twin is not route:
            message = (
                f"no request reaches it: `{twin.name}` comes first with the same host and paths"
            )
            yield source_map.problem(message, *route.written_at)
        elif (
            catch_all is not None
            and route is not catch_all
            and route.paths.kind is not PathKind.EXACT
            and (route.paths.kind is not PathKind.REGEX or index > routes.index(catch_all))
        ):
            message = (
                f"no request reaches it: the regex of `{catch_all.name}` matches every path first"
            )
            yield source_map.problem(message, *route.written_at)


def _takes_everything(route: Route) -> bool:
    return route.paths.kind is PathKind.REGEX and route.paths.text in _EVERYTHING


def _key(route: Route) -> tuple[PathKind, str, bool]:
    """Prefixes that cover the same paths have the same key; letter case counts unless the route
    ignores it."""
    paths: PathRule = route.paths
    text = paths.text
    if paths.kind is PathKind.PREFIX:
        text = "/" + "/".join(split_segments(text))
    return paths.kind, text.lower() if route.ignore_case else text, route.ignore_case


def find_uppercase_in_ignore_case(
    operators: Iterable[Operator], *, source_map: SourceMap
) -> Iterator[Problem]:
    """Yields a problem for each rule about a path with capitals.

    A route that ignores letter case decides about the lower-case path as well, so a rule about
    `/ADMIN` would never match it.
    """
    for operator in operators:
        for criterion in operator.criteria:
            if criterion.name == "http_path" and any(map(_has_capital, _texts(criterion.data))):
                yield source_map.problem(
                    "a route with `paths: ignore_case` compares in lower case: "
                    "write the path in lower case",
                    *criterion.path,
                )


def _has_capital(text: str) -> bool:
    return text != text.lower()


def _texts(data: object) -> Iterator[str]:
    match data:
        case str():
            yield data
        case dict():
            for value in data.values():
                yield from _texts(value)
        case list() | tuple():
            for value in data:
                yield from _texts(value)
        case _:
            pass  # nothing that could have a letter


def find_missing_tables(
    operators: Iterable[Operator], tables: RecordTables, *, source_map: SourceMap
) -> Iterator[Problem]:
    """Yields a problem for each `record` criterion whose table does not exist."""
    for operator in operators:
        for criterion in operator.criteria:
            if (lookup := table_of(criterion)) is None:
                continue
            name, by = lookup
            if not tables.has_table(name, by=by):
                message = f"there is no table `{name}` by {by} among `records`"
                yield source_map.problem(message, *criterion.path, "type")
