"""From a path to the most specific route of one host pattern.

Exact path first, then regular expressions in order, then the longest prefix. The cost follows the
depth of the configured prefixes; only regular expressions of the same host are tried one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.policy.regex import compile_full_match
from authz_sidecar.routes.model import PathKind, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class _Node:
    """One segment of the prefixes of a host."""

    __slots__ = ("children", "route")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.route: Route | None = None


class PathTable:
    """The routes of one host pattern that tell letter case apart, or of those that do not.

    Of routes with the same rule the first counts.
    """

    __slots__ = ("_exact", "_plain", "_plain_lengths", "_regexes", "_root")

    def __init__(self, routes: Iterable[Route], *, ignore_case: bool) -> None:
        self._exact: dict[str, Route] = {}
        regexes: list[tuple[Callable[[str], bool], Route]] = []
        self._plain: dict[str, Route] = {}
        self._root = _Node()
        for route in routes:
            text = route.paths.text
            if route.paths.kind is PathKind.REGEX:
                regexes.append((compile_full_match(text, ignore_case=ignore_case), route))
                continue
            if ignore_case:
                text = text.lower()
            match route.paths.kind:
                case PathKind.EXACT:
                    self._exact.setdefault(text, route)
                case PathKind.PLAIN_PREFIX:
                    self._plain.setdefault(text, route)
                case PathKind.PREFIX:
                    node = self._node(text)
                    node.route = node.route or route
        self._regexes = tuple(regexes)
        self._plain_lengths = tuple(sorted({len(text) for text in self._plain}, reverse=True))

    def _node(self, prefix: str) -> _Node:
        node = self._root
        for segment in split_segments(prefix):
            node = node.children.setdefault(segment, _Node())
        return node

    def match(self, path: str) -> Route | None:
        if self._exact and (route := self._exact.get(path)) is not None:
            return route
        if self._regexes and (route := self.match_regex(path)) is not None:
            return route
        if not self._root.children and not self._plain:
            return self._root.route
        return self.match_prefix(path)[1]

    def match_exact(self, path: str) -> Route | None:
        return self._exact.get(path)

    def match_regex(self, path: str) -> Route | None:
        for matches, route in self._regexes:
            if matches(path):
                return route
        return None

    def match_prefix(self, path: str) -> tuple[int, Route | None]:
        """The longest prefix and its length; segments beat letters of the same length."""
        node = self._root
        found, length = node.route, 0
        start = 1
        while node.children:
            end = path.find("/", start)
            stop = len(path) if end < 0 else end
            child = node.children.get(path[start:stop])
            if child is None:
                break
            node = child
            if node.route is not None:
                found, length = node.route, stop
            if end < 0:
                break
            start = end + 1
        for longest in self._plain_lengths:
            if longest <= max(length, 1) and found is not None:
                break
            if (plain := self._plain.get(path[:longest])) is not None:
                return longest, plain
        return length, found


def split_segments(prefix: str) -> list[str]:
    """A trailing `/` says nothing: `/admin/` covers `/admin` too, as most applications do."""
    inner = prefix.strip("/")
    return inner.split("/") if inner else []
