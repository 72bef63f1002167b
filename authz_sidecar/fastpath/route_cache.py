"""Where paths lead: a place and a path, and the route that they are about.

Decides which paths are plain: of the grammar, and with one reading only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.adapters import request_parsing
from authz_sidecar.core.caching import TwoGenerationCache
from authz_sidecar.core.path_normalization import interpretations
from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.policy import Residual, partially_evaluate
from authz_sidecar.policy.criteria import Dependency

if TYPE_CHECKING:
    # HOUSE-REMOVED
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes import Route, RouteIndex
    from authz_sidecar.sessions import SessionCookies

# Clients choose the names that they ask wildcard hosts by.
MAX_HOSTS = 4096


class HostEntry:
    """One origin. Compared by identity."""

    __slots__ = ("_cookies", "ignores_case", "origin", "scope")

    def __init__(self, origin: Origin, cookies: SessionCookies, *, ignores_case: bool) -> None:
        self.origin = origin
        self.ignores_case = ignores_case
        self.scope = cookies.scope_for(origin)
        self._cookies = cookies

    def token(self, lines: tuple[str, ...], provider: str) -> str | None:
        """The session that the cookies name."""
        return self._cookies.read_token(lines, self._cookies.name_for(provider, self.origin))


class HostCache:
    __slots__ = ("_cookies", "_entries", "_index")

    def __init__(self, index: RouteIndex, cookies: SessionCookies) -> None:
        self._index = index
        self._cookies = cookies
        self._entries: TwoGenerationCache[object, HostEntry] = TwoGenerationCache(
            max_size=MAX_HOSTS
        )

    def find(self, scheme: str, host: str) -> HostEntry | None:
        """None for what is no host name."""
        key = scheme, host
        place = self._entries.get(key)
        if place is None:
            try:
                origin = request_parsing.parse_origin(host, scheme=scheme)
            except BadProxyRequest:
                return None
            place = self._add(key, origin)
        return place

    def of(self, origin: Origin) -> HostEntry:
        return self._entries.get(origin) or self._add(origin, origin)

    def _add(self, key: object, origin: Origin) -> HostEntry:
        ignores_case = self._index.ignores_case(origin)
        place = HostEntry(origin, self._cookies, ignores_case=ignores_case)
        self._entries.put(key, place)
        return place


MAX_CACHED_BYTES = 2 * 1024 * 1024
_MAX_CACHED_PATH = 1024
_BLOCK_ATTRIBUTES = frozenset(
    {RequestAttribute.METHOD, RequestAttribute.PATH, RequestAttribute.CLIENT_ADDRESS}
)


class RouteEntry:
    """One route. `needs_session` for people at all, whose sessions with `provider` count; None
    where none or several do. `is_cacheable`: for one session and request a decision stays what it
    is; `depends_on_block_only`: it depends on nothing of a request but that and the path;
    `depends_on_query`: on the query, too. Compared by identity."""

    __slots__ = (
        "_residual",
        "depends_on_block_only",
        "depends_on_query",
        "is_cacheable",
        "needs_session",
        "provider",
        "route",
    )

    def __init__(self, route: Route) -> None:
        self.route = route
        self.provider = route.providers[0] if len(route.providers) == 1 else None
        self.needs_session = route.identity != "none"
        asks = route.policy.attributes
        # Tables of records change when they like.
        self.is_cacheable = Dependency.RECORDS not in route.policy.depends_on
        self.depends_on_block_only = asks <= _BLOCK_ATTRIBUTES
        self.depends_on_query = RequestAttribute.QUERY in asks
        self._residual: Residual | None = None

    def anonymous_residual(self, now: float) -> Residual:
        """The policy for those who are not signed in."""
        residual = self._residual
        if residual is None or now >= residual.stable_until:
            residual = self._residual = partially_evaluate(self.route.policy, None, now=now)
        return residual


class RouteLookup:
    """`entry` is None where no route is."""

    __slots__ = ("entry",)

    def __init__(self, entry: RouteEntry | None) -> None:
        self.entry = entry


class RouteCache:
    __slots__ = ("_entries", "_index", "_lookups")

    def __init__(self, index: RouteIndex) -> None:
        self._index = index
        self._lookups: TwoGenerationCache[tuple[HostEntry, bytes], RouteLookup] = (
            TwoGenerationCache(max_size=MAX_CACHED_BYTES)
        )
        self._entries: dict[int, RouteEntry] = {}

    def find(self, host: HostEntry, path: bytes) -> RouteLookup | None:
        """None for a path that is not plain."""
        key = host, path
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._match(host, path)
            if lookup is not None and len(path) <= _MAX_CACHED_PATH:
                self._lookups.put(key, lookup, size=len(path) + 200)
        return lookup

    def _match(self, host: HostEntry, raw: bytes) -> RouteLookup | None:
        try:
            path, _ = request_parsing.parse_target(raw.decode("latin-1"))
            paths = interpretations(path, ignore_case=host.ignores_case)
        except (BadProxyRequest, MalformedUrl):
            return None
        if len(paths) != 1:
            return None
        route = self._index.match(host.origin, path)
        return RouteLookup(None if route is None else self._entry(route))

    def _entry(self, route: Route) -> RouteEntry:
        entry = self._entries.get(id(route))
        if entry is None:
            entry = self._entries[id(route)] = RouteEntry(route)
        return entry
