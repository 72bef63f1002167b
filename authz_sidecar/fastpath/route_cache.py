"""Where paths lead: a place and a path, and the route that they are about.

Decides which paths are plain: of the grammar, and with one reading only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.adapters import request_parsing
from authz_sidecar.core.caching import Memory
from authz_sidecar.core.path_normalization import readings
from authz_sidecar.core.types import Fact
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.policy import Residual, specialise
from authz_sidecar.policy.criteria import About

if TYPE_CHECKING:
    # HOUSE-REMOVED
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes import Route, RouteIndex
    from authz_sidecar.sessions import SessionCookies

# Clients choose the names that they ask wildcard hosts by.
MOST = 4096


class Place:
    """One origin. Compared by identity."""

    __slots__ = ("_cookies", "ignores_case", "origin", "scope")

    def __init__(self, origin: Origin, cookies: SessionCookies, *, ignores_case: bool) -> None:
        self.origin = origin
        self.ignores_case = ignores_case
        self.scope = cookies.scope_for(origin)
        self._cookies = cookies

    def token(self, lines: tuple[str, ...], provider: str) -> str | None:
        """The session that the cookies name."""
        return self._cookies.read(lines, self._cookies.name_for(provider, self.origin))


class Places:
    __slots__ = ("_cookies", "_index", "_known")

    def __init__(self, index: RouteIndex, cookies: SessionCookies) -> None:
        self._index = index
        self._cookies = cookies
        self._known: Memory[object, Place] = Memory(most=MOST)

    def find(self, scheme: str, host: str) -> Place | None:
        """None for what is no host name."""
        key = scheme, host
        place = self._known.get(key)
        if place is None:
            try:
                origin = request_parsing.parse_origin(host, under=scheme)
            except BadProxyRequest:
                return None
            place = self._add(key, origin)
        return place

    def of(self, origin: Origin) -> Place:
        return self._known.get(origin) or self._add(origin, origin)

    def _add(self, key: object, origin: Origin) -> Place:
        ignores_case = self._index.ignores_case(origin)
        place = Place(origin, self._cookies, ignores_case=ignores_case)
        self._known.put(key, place)
        return place


MOST_REMEMBERED_BYTES = 2 * 1024 * 1024
_LONGEST_REMEMBERED = 1024
_IN_ENVELOPE = frozenset({Fact.METHOD, Fact.PATH, Fact.CLIENT_ADDRESS})


class Way:
    """One route. `looks` for people at all, whose sessions with `provider` count; None where none
    or several do. `lasts`: for one session and request a decision stays what it is; `in_envelope`:
    it depends on nothing of a request but that and the path; `asks_query`: on the query, too.
    Compared by identity."""

    __slots__ = ("_residual", "asks_query", "in_envelope", "lasts", "looks", "provider", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.provider = route.providers[0] if len(route.providers) == 1 else None
        self.looks = route.identity != "none"
        asks = route.policy.facts
        # Tables of records change when they like.
        self.lasts = About.EVIDENCE not in route.policy.about
        self.in_envelope = asks <= _IN_ENVELOPE
        self.asks_query = Fact.QUERY in asks
        self._residual: Residual | None = None

    def nobodys(self, now: float) -> Residual:
        """The policy for those who are not signed in."""
        residual = self._residual
        if residual is None or now >= residual.until:
            residual = self._residual = specialise(self.route.policy, None, now=now)
        return residual


class Road:
    """`way` is None where no route is."""

    __slots__ = ("way",)

    def __init__(self, way: Way | None) -> None:
        self.way = way


class Roads:
    __slots__ = ("_index", "_known", "_ways")

    def __init__(self, index: RouteIndex) -> None:
        self._index = index
        self._known: Memory[tuple[Place, bytes], Road] = Memory(most=MOST_REMEMBERED_BYTES)
        self._ways: dict[int, Way] = {}

    def find(self, place: Place, path: bytes) -> Road | None:
        """None for a path that is not plain."""
        key = place, path
        road = self._known.get(key)
        if road is None:
            road = self._look(place, path)
            if road is not None and len(path) <= _LONGEST_REMEMBERED:
                self._known.put(key, road, size=len(path) + 200)
        return road

    def _look(self, place: Place, raw: bytes) -> Road | None:
        try:
            path, _ = request_parsing.parse_target(raw.decode("latin-1"))
            meanings = readings(path, ignore_case=place.ignores_case)
        except (BadProxyRequest, MalformedUrl):
            return None
        if len(meanings) != 1:
            return None
        route = self._index.match(place.origin, path)
        return Road(None if route is None else self._way(route))

    def _way(self, route: Route) -> Way:
        way = self._ways.get(id(route))
        if way is None:
            way = self._ways[id(route)] = Way(route)
        return way
