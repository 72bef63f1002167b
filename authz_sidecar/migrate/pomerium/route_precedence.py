"""Finds requests that another route answers here than in Pomerium, because here the most specific
route wins.

Pomerium takes exact hosts before patterns and, among the routes of either, the first in
configuration order; see `routes.index` for the order here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.policy.regex import compile_full_match
from authz_sidecar.routes.model import HostPattern, PathKind, PathRule, WildcardDepth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LITERAL = re.compile(r"(?:[^\\^$.|?*+()\[\]{}]|\\[^A-Za-z0-9])*")

_PREFIXES = (PathKind.PREFIX, PathKind.PLAIN_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePosition:
    """One route of the input in configuration order. `path` is its path in the input."""

    name: str
    host: HostPattern
    paths: PathRule
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class PrecedenceChange:
    """A pair of routes: `earlier` answered what both match, and here `later` does."""

    earlier: RoutePosition
    later: RoutePosition


def find_precedence_changes(routes: Sequence[RoutePosition]) -> Iterator[PrecedenceChange]:
    """Return every pair of routes whose precedence may differ; patterns that may overlap count as
    overlapping."""
    by_host: dict[HostPattern, list[RoutePosition]] = {}
    for route in routes:
        by_host.setdefault(route.host, []).append(route)
    for host, same_host in by_host.items():
        if host.depth is WildcardDepth.EXACT:
            yield from _changes_among(same_host)
    yield from _changes_among(
        [route for route in routes if route.host.depth is not WildcardDepth.EXACT]
    )


def find_uncovered_hosts(
    routes: Sequence[RoutePosition], *, hosts_without_route: Sequence[HostPattern] = ()
) -> Iterator[HostPattern]:
    """Return exact hosts on which a pattern could match where none of their own routes does.
    Pomerium answers 404 there, because it looks at the routes of the exact host only.
    `hosts_without_route` are those that lost a route."""
    patterns = [route for route in routes if route.host.depth is not WildcardDepth.EXACT]
    rules_by_host: dict[HostPattern, list[PathRule]] = {
        host: [] for host in hosts_without_route if host.depth is WildcardDepth.EXACT
    }
    for route in routes:
        if route.host.depth is WildcardDepth.EXACT:
            rules_by_host.setdefault(route.host, []).append(route.paths)
    for host, rules in rules_by_host.items():
        if any(_covers(pattern.host, host) for pattern in patterns) and not any(
            rule.kind in _PREFIXES and rule.text == "/" for rule in rules
        ):
            yield host


def _changes_among(routes: Sequence[RoutePosition]) -> Iterator[PrecedenceChange]:
    for index, later in enumerate(routes):
        for earlier in routes[:index]:
            if _takes_precedence(later, earlier) and _may_overlap(earlier.paths, later.paths):
                yield PrecedenceChange(earlier, later)


def _takes_precedence(later: RoutePosition, earlier: RoutePosition) -> bool:
    """Whether here the later one comes first, where both apply."""
    if later.host == earlier.host:
        return _rank(later.paths) > _rank(earlier.paths)
    return _covers(earlier.host, later.host)


def _rank(rule: PathRule) -> tuple[int, int]:
    if rule.kind is PathKind.EXACT:
        return 2, 0
    return (1, 0) if rule.kind is PathKind.REGEX else (0, len(rule.text))


def _covers(wide: HostPattern, narrow: HostPattern) -> bool:
    """Whether a pattern takes in another host, or a pattern below it."""
    return (
        (wide.scheme, wide.port) == (narrow.scheme, narrow.port)
        and wide.depth is WildcardDepth.ANY
        and narrow.name.endswith(f".{wide.name}")
    )


def _may_overlap(one: PathRule, other: PathRule) -> bool:
    """Whether some path belongs to both; for two patterns, whether that cannot be excluded."""
    if one.kind is PathKind.REGEX or other.kind is PathKind.REGEX:
        pattern, rule = (one, other) if one.kind is PathKind.REGEX else (other, one)
        if rule.kind is PathKind.EXACT:
            return compile_full_match(pattern.text)(rule.text)
        literal_prefix = _literal_prefix(pattern.text)
        text = _literal_prefix(rule.text) if rule.kind is PathKind.REGEX else rule.text
        return literal_prefix.startswith(text) or text.startswith(literal_prefix)
    if one.kind is PathKind.EXACT:
        return (
            one.text.startswith(other.text) if other.kind in _PREFIXES else one.text == other.text
        )
    if other.kind is PathKind.EXACT:
        return other.text.startswith(one.text)
    return one.text.startswith(other.text) or other.text.startswith(one.text)


def _literal_prefix(pattern: str) -> str:
    """Letters that every match begins with."""
    if "|" in pattern or "(?" in pattern:
        return ""
    literal = _LITERAL.match(pattern)
    prefix = literal.group() if literal else ""
    if pattern[len(prefix) : len(prefix) + 1] in ("?", "*", "{"):
        # The last letter may be missing.
        prefix = re.sub(r"(?:\\.|.)\Z", "", prefix, flags=re.DOTALL)
    return re.sub(r"\\(.)", r"\1", prefix)
