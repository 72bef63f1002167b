"""The hosts that questions name, each with what is the same for all questions about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.proxies import reading

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.lane.lines import Line
    from authz_sidecar.routes import RouteIndex
    from authz_sidecar.sessions import SessionCookies

# Clients choose the names that they ask wildcard hosts by.
MOST = 4096


class Place:
    """One origin. Compared by identity."""

    __slots__ = ("_cookies", "_names", "ignores_case", "origin", "scope")

    def __init__(self, origin: Origin, cookies: SessionCookies, *, ignores_case: bool) -> None:
        self.origin = origin
        self.ignores_case = ignores_case
        self.scope = cookies.scope_for(origin)
        self._cookies = cookies
        self._names: dict[str, str] = {}

    def token(self, cookie: Line, provider: str) -> str | None:
        """The session that a line of cookies names."""
        name = self._names.get(provider)
        if name is None:
            name = self._names[provider] = self._cookies.name_for(provider, self.origin)
        _, pair, noted = cookie
        if not isinstance(noted, dict) or pair is None:
            return None
        if name not in noted:
            noted[name] = self._cookies.read((pair[1],), name)
        token: str | None = noted[name]
        return token


class Places:
    __slots__ = ("_cookies", "_index", "_known")

    def __init__(self, index: RouteIndex, cookies: SessionCookies) -> None:
        self._index = index
        self._cookies = cookies
        self._known: dict[object, Place] = {}

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
        if len(self._known) >= MOST:
            self._known.clear()
        ignores_case = self._index.ignores_case(origin)
        place = self._known[key] = Place(origin, self._cookies, ignores_case=ignores_case)
        return place
