"""Finds the route of a host and path, at a cost that does not grow with the number of routes.

Exact hosts come before `*.` before `**.`, longer suffixes before shorter ones; where a host has no
route for a path, the next pattern that covers the host is tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.urls import Origin
from authz_sidecar.policy.paths import decode_path
from authz_sidecar.routes.model import HostPattern, Route, WildcardDepth
from authz_sidecar.routes.path_index import PathTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Host:
    """The routes of one host pattern, by path."""

    __slots__ = ("folded", "routes", "sharp")

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        folded = [route for route in routes if route.ignore_case]
        self.sharp = PathTable(
            [route for route in routes if not route.ignore_case], ignore_case=False
        )
        self.folded = PathTable(folded, ignore_case=True) if folded else None

    def match(self, path: str) -> Route | None:
        sharp, folded = self.sharp, self.folded
        if folded is None:
            return sharp.match(path)
        lower = path.lower()
        if matched := sharp.match_exact(path) or folded.match_exact(lower):
            return matched
        if matched := sharp.match_regex(path) or folded.match_regex(path):
            return matched
        length, route = sharp.match_prefix(path)
        folded_length, folded_route = folded.match_prefix(lower)
        if folded_route is not None and (route is None or folded_length > length):
            return folded_route
        return route


Key = tuple[str, str, int | None]


class RouteIndex:
    """Finds the route of a request. Immutable once built."""

    __slots__ = ("_hosts", "_wild", "origins", "routes")

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        """All of them, in configuration order."""
        by_host: dict[HostPattern, list[Route]] = {}
        for route in self.routes:
            by_host.setdefault(route.host, []).append(route)
        self._hosts: dict[Key, _Host] = {}
        self._wild: dict[WildcardDepth, dict[Key, _Host]] = {
            WildcardDepth.ONE_LABEL: {},
            WildcardDepth.ANY: {},
        }
        for host, of_host in by_host.items():
            table = self._hosts if host.depth is WildcardDepth.EXACT else self._wild[host.depth]
            table[host.scheme, host.name, host.port] = _Host(tuple(of_host))
        self.origins = tuple(Origin(*key) for key in self._hosts)
        """The hosts that are named, without those that only a wildcard covers."""

    def match(self, origin: Origin, path: str) -> Route | None:
        """Returns the route of a path, or None. `path` is raw or one of its interpretations;
        escapes are decoded once, except for `%2f` and `%5c`."""
        if "%" in path:
            path = decode_path(path)
        host = self._hosts.get((origin.scheme, origin.host, origin.port))
        if host is not None and (route := host.match(path)) is not None:
            return route
        for wild in self._wildcards(origin):
            if (route := wild.match(path)) is not None:
                return route
        return None

    def is_known_origin(self, origin: Origin) -> bool:
        """Whether a route serves this origin."""
        return next(self._covering(origin), None) is not None

    def for_host(self, origin: Origin) -> tuple[Route, ...]:
        """Returns every route that a path on this origin may belong to, most specific host first."""
        return tuple(route for host in self._covering(origin) for route in host.routes)

    def ignores_case(self, origin: Origin) -> bool:
        """Whether a route of this origin ignores the letter case of paths, so that each lower-case
        path is one more interpretation."""
        return any(host.folded is not None for host in self._covering(origin))

    def _covering(self, origin: Origin) -> Iterator[_Host]:
        if (host := self._hosts.get((origin.scheme, origin.host, origin.port))) is not None:
            yield host
        yield from self._wildcards(origin)

    def _wildcards(self, origin: Origin) -> Iterator[_Host]:
        one_label, any_depth = self._wild[WildcardDepth.ONE_LABEL], self._wild[WildcardDepth.ANY]
        if not one_label and not any_depth:
            return
        scheme, port = origin.scheme, origin.port
        suffix = origin.host
        table = one_label
        while dot := suffix.find(".") + 1:
            suffix = suffix[dot:]
            key = (scheme, suffix, port)
            if table and (host := table.get(key)) is not None:
                yield host
            table = {}
            if (host := any_depth.get(key)) is not None:
                yield host
