"""Finds the most specific route of one host pattern for a path.

Exact path first, then regular expressions in order, then the longest prefix. The cost grows with
the depth of the configured prefixes; only regular expressions of the same host are tried one by
one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.policy.regex import compile_full_match
from authz_sidecar.routes.model import PathKind, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class _Node:
    """One segment in the tree of prefixes of a host."""

    __slots__ = ("children", "route")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.route: Route | None = None


class PathTable:
    """The case-sensitive routes of one host pattern, or its case-insensitive ones.

    Of routes with the same path rule the first wins.
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
        """Returns the most specific route for a decoded path, or None."""
        if self._exact and (route := self._exact.get(path)) is not None:
            return route
        if self._regexes and (route := self.match_regex(path)) is not None:
            return route
        if not self._root.children and not self._plain:
            return self._root.route
        return self.match_prefix(path)[1]

    def match_exact(self, path: str) -> Route | None:
        """Returns the route with exactly this path, or None."""
        return self._exact.get(path)

    def match_regex(self, path: str) -> Route | None:
        """Returns the first route whose regular expression matches the whole path, or None."""
        for matches, route in self._regexes:
            if matches(path):
                return route
        return None

    def match_prefix(self, path: str) -> tuple[int, Route | None]:
        """Returns the length and the route of the longest prefix; whole segments beat a plain
        prefix of the same length."""
        node = self._root
        route, length = node.route, 0
        start = 1
        while node.children:
            end = path.find("/", start)
            stop = len(path) if end < 0 else end
            child = node.children.get(path[start:stop])
            if child is None:
                break
            node = child
            if node.route is not None:
                route, length = node.route, stop
            if end < 0:
                break
            start = end + 1
        for longest in self._plain_lengths:
            if longest <= max(length, 1) and route is not None:
                break
            if (plain := self._plain.get(path[:longest])) is not None:
                return longest, plain
        return length, route


def split_segments(prefix: str) -> list[str]:
    """Returns the segments of a prefix. A trailing `/` is ignored: `/admin/` covers `/admin` too,
    as in most applications."""
    inner = prefix.strip("/")
    return inner.split("/") if inner else []
