"""The hosts that questions name, each with what is the same for all questions about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.lane.memory import Memory
from authz_sidecar.proxies import reading

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.routes import RouteIndex
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
                origin = reading.origin(host, under=scheme)
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
