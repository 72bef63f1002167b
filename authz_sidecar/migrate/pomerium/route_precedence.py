"""Where most specific wins and first in order wins disagree about who answers.

Pomerium asks exact hosts before patterns, and among the routes of either takes the first in
configuration order; see `routes.index` for what is done here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.policy.regex import whole_match
from authz_sidecar.routes.model import Depth, HostPattern, PathKind, PathRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LITERAL = re.compile(r"(?:[^\\^$.|?*+()\[\]{}]|\\[^A-Za-z0-9])*")

_PREFIXES = (PathKind.PREFIX, PathKind.PLAIN_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One route's place in order. `at` is its place in the input."""

    name: str
    host: HostPattern
    paths: PathRule
    at: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """`before` answered what both could answer, and `now` does here."""

    before: Standing
    now: Standing


def changed_winners(routes: Sequence[Standing]) -> Iterator[Changed]:
    """Every pair about which they may disagree; patterns that might meet count as meeting."""
    by_host: dict[HostPattern, list[Standing]] = {}
    for route in routes:
        by_host.setdefault(route.host, []).append(route)
    for host, of_host in by_host.items():
        if host.depth is Depth.EXACT:
            yield from _among(of_host)
    yield from _among([route for route in routes if route.host.depth is not Depth.EXACT])


def uncovered(
    routes: Sequence[Standing], *, emptied: Sequence[HostPattern] = ()
) -> Iterator[HostPattern]:
    """Exact hosts on which a pattern could answer where none of their own routes does. Pomerium
    answers not found there, because a host of its own is asked alone. `emptied` are those that
    lost a route."""
    patterns = [route for route in routes if route.host.depth is not Depth.EXACT]
    own: dict[HostPattern, list[PathRule]] = {
        host: [] for host in emptied if host.depth is Depth.EXACT
    }
    for route in routes:
        if route.host.depth is Depth.EXACT:
            own.setdefault(route.host, []).append(route.paths)
    for host, rules in own.items():
        if any(_covers(pattern.host, host) for pattern in patterns) and not any(
            rule.kind in _PREFIXES and rule.text == "/" for rule in rules
        ):
            yield host


def _among(routes: Sequence[Standing]) -> Iterator[Changed]:
    for place, later in enumerate(routes):
        for earlier in routes[:place]:
            if _overtakes(later, earlier) and _meet(earlier.paths, later.paths):
                yield Changed(earlier, later)


def _overtakes(later: Standing, earlier: Standing) -> bool:
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
        and wide.depth is Depth.ANY
        and narrow.name.endswith(f".{wide.name}")
    )


def _meet(one: PathRule, other: PathRule) -> bool:
    """Whether some path belongs to both; for two patterns, whether that cannot be excluded."""
    if one.kind is PathKind.REGEX or other.kind is PathKind.REGEX:
        pattern, rule = (one, other) if one.kind is PathKind.REGEX else (other, one)
        if rule.kind is PathKind.EXACT:
            return whole_match(pattern.text)(rule.text)
        begins = _begins(pattern.text)
        text = _begins(rule.text) if rule.kind is PathKind.REGEX else rule.text
        return begins.startswith(text) or text.startswith(begins)
    if one.kind is PathKind.EXACT:
        return (
            one.text.startswith(other.text) if other.kind in _PREFIXES else one.text == other.text
        )
    if other.kind is PathKind.EXACT:
        return other.text.startswith(one.text)
    return one.text.startswith(other.text) or other.text.startswith(one.text)


def _begins(pattern: str) -> str:
    """Letters that every match begins with."""
    if "|" in pattern or "(?" in pattern:
        return ""
    literal = _LITERAL.match(pattern)
    found = literal.group() if literal else ""
    if pattern[len(found) : len(found) + 1] in ("?", "*", "{"):
        # The last letter may be missing.
        found = re.sub(r"(?:\\.|.)\Z", "", found, flags=re.DOTALL)
    return re.sub(r"\\(.)", r"\1", found)
