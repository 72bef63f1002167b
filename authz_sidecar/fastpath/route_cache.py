"""The cached lookups of hosts and routes: from scheme and host to the origin, and from a host and
raw path to the route.

Decides which paths are plain: well-formed, and with one interpretation only.
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
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes import Route, RouteIndex
    from authz_sidecar.sessions import SessionCookies

# Clients choose the names of wildcard hosts.
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
        """Return the session token for `provider` in the cookie lines; None without one."""
        return self._cookies.read_token(lines, self._cookies.name_for(provider, self.origin))


class HostCache:
    """The origins of subrequests, by scheme and host."""

    __slots__ = ("_cookies", "_entries", "_index")

    def __init__(self, index: RouteIndex, cookies: SessionCookies) -> None:
        self._index = index
        self._cookies = cookies
        self._entries: TwoGenerationCache[object, HostEntry] = TwoGenerationCache(
            max_size=MAX_HOSTS
        )

    def find(self, scheme: str, host: str) -> HostEntry | None:
        """Return the entry of a host; None for a malformed host name."""
        key = scheme, host
        entry = self._entries.get(key)
        if entry is None:
            try:
                origin = request_parsing.parse_origin(host, scheme=scheme)
            except BadProxyRequest:
                return None
            entry = self._add(key, origin)
        return entry

    def for_origin(self, origin: Origin) -> HostEntry:
        """Return the entry of an origin."""
        return self._entries.get(origin) or self._add(origin, origin)

    def _add(self, key: object, origin: Origin) -> HostEntry:
        ignores_case = self._index.ignores_case(origin)
        entry = HostEntry(origin, self._cookies, ignores_case=ignores_case)
        self._entries.put(key, entry)
        return entry


MAX_CACHED_BYTES = 2 * 1024 * 1024
_MAX_CACHED_PATH = 1024
_BLOCK_ATTRIBUTES = frozenset(
    {RequestAttribute.METHOD, RequestAttribute.PATH, RequestAttribute.CLIENT_ADDRESS}
)


class RouteEntry:
    """What the fast path has to know about a route. Compared by identity.

    - `needs_session`: whether the route identifies users at all.
    - `provider`: the one provider of the route; None when it has none or several.
    - `is_cacheable`: whether a decision stays the same for one session and request.
    - `depends_on_block_only`: whether it depends only on the header block and the path.
    - `depends_on_query`: whether it depends on the query.
    """

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
        attributes = route.policy.attributes
        # Tables of records can change at any time.
        self.is_cacheable = Dependency.RECORDS not in route.policy.depends_on
        self.depends_on_block_only = attributes <= _BLOCK_ATTRIBUTES
        self.depends_on_query = RequestAttribute.QUERY in attributes
        self._residual: Residual | None = None

    def anonymous_residual(self, now: float) -> Residual:
        """Return the policy, partially evaluated for an anonymous caller."""
        residual = self._residual
        if residual is None or now >= residual.stable_until:
            residual = self._residual = partially_evaluate(self.route.policy, None, now=now)
        return residual


class RouteLookup:
    """The result of a lookup; `entry` is None when no route matches."""

    __slots__ = ("entry",)

    def __init__(self, entry: RouteEntry | None) -> None:
        self.entry = entry


class RouteCache:
    """The routes by host and raw path."""

    __slots__ = ("_entries", "_index", "_lookups")

    def __init__(self, index: RouteIndex) -> None:
        self._index = index
        self._lookups: TwoGenerationCache[tuple[HostEntry, bytes], RouteLookup] = (
            TwoGenerationCache(max_size=MAX_CACHED_BYTES)
        )
        self._entries: dict[int, RouteEntry] = {}

    def find(self, host: HostEntry, path: bytes) -> RouteLookup | None:
        """Return the lookup of a path; None when the path is not plain."""
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
