"""All of a question but what changes with every one: the target asked about, and Envoy's id for it.

Decides whether the lines of a head are plain, each of the proxy's facts there exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.lane.lines import Lines, Role
from authz_sidecar.proxies.base import RawRequest

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address, CheckRequest, Headers
    from authz_sidecar.lane.dialects import Dialect, Start
    from authz_sidecar.lane.lines import Line
    from authz_sidecar.lane.places import Place, Places
    from authz_sidecar.proxies.trust import Networks

MOST_LINES = 64
_OBJECTS, _OBJECTS_OF_A_LINE = 1000, 160


class Envelope:
    """`headers` are the client's own; a line that was cut out stands at `gap` among them. `cookie`
    is the one line of cookies; `bodiless` that an answer must have no body, `kept` that the
    connection stays open after it. `size` is the memory it takes, in bytes and about. Compared by
    identity."""

    __slots__ = (
        "_tokens",
        "bodiless",
        "client",
        "cookie",
        "dialect",
        "gap",
        "headers",
        "kept",
        "method",
        "place",
        "size",
    )

    def __init__(
        self,
        start: Start,
        *,
        method: str,
        place: Place,
        client: Address | None,
        headers: Headers,
        gap: int,
        cookie: str | None,
        keep_alive: bool,
    ) -> None:
        self.dialect: Dialect = start.dialect
        self.method = method
        self.place = place
        self.client = client
        self.headers = headers
        self.gap = gap
        self.cookie = cookie
        self.bodiless = start.method == "HEAD"
        self.kept = start.newer and keep_alive
        self.size = _OBJECTS + sum(
            len(name) + len(value) + _OBJECTS_OF_A_LINE for name, value in headers
        )
        self._tokens: dict[str, str | None] = {}

    def token(self, provider: str) -> str | None:
        """The session with `provider` that the cookies name."""
        if provider not in self._tokens:
            lines = () if self.cookie is None else (self.cookie,)
            self._tokens[provider] = self.place.token(lines, provider)
        return self._tokens[provider]


class Envelopes:
    __slots__ = ("_known", "_learn", "_places")

    def __init__(self, *, places: Places, trusted_hops: Networks) -> None:
        self._places = places
        lines = Lines(trusted_hops=trusted_hops)
        self._known, self._learn = lines.known, lines.learn

    def open(self, start: Start, before: bytes, after: bytes) -> Envelope | None:
        """From the lines before and after the cut; the target is not among them."""
        read = self._read(before, after)
        if read is None:
            return None
        found, headers, gap = read
        envoys = not start.dialect.forwarded
        host = found[Role.HOST if envoys else Role.FORWARDED_HOST]
        proto, said = found[Role.PROTO], found[Role.METHOD]
        if proto is None or host is None or found[Role.HOST] is None:
            return None
        if not envoys and (said is None or found[Role.URI] is not None):
            return None
        place = self._places.find(proto[2], host[2])
        if place is None:
            return None
        method = start.method if envoys or said is None else said[2]
        return _envelope(start, found, headers, gap, method=method, place=place)

    def parse(self, start: Start, head: bytes) -> tuple[Envelope, CheckRequest] | None:
        """For adapters whose facts stand in other lines: whole, as they read them."""
        read = self._read(head, b"")
        if read is None or read[0][Role.HOST] is None:
            return None
        line, *lines = head[:-4].decode().split("\r\n")
        pairs = (each.partition(": ") for each in lines)
        asked = RawRequest(
            method=start.method,
            target=line.split(" ")[1],
            headers=tuple((name.lower(), value) for name, _, value in pairs),
            peer=None,
        )
        try:
            request = start.dialect.adapter.parse(asked)
        except BadProxyRequest:
            return None
        place = self._places.of(request.origin)
        found, headers, gap = read
        envelope = _envelope(start, found, headers, gap, method=request.method, place=place)
        return envelope, request

    def _read(
        self, before: bytes, after: bytes
    ) -> tuple[list[Line | None], list[tuple[str, str]], int] | None:
        """The lines behind the request line by their role, the client's own, and how many of those
        stand before the cut."""
        first = before.split(b"\r\n")
        raw = first + after.split(b"\r\n")[1:] if after else first
        if not 2 < len(raw) <= MOST_LINES or raw[-1] or raw[-2]:
            return None
        cut = len(first) - 1
        found: list[Line | None] = [None] * len(Role)
        own: list[tuple[str, str]] = []
        gap = 0
        known, learn = self._known, self._learn
        for at, each in enumerate(raw[1:-2]):
            line = known.get(each) or learn(each)
            if line is None:
                return None
            role, pair, _ = line
            if pair is not None:
                own.append(pair)
                gap += at < cut
            if role > Role.PROXYS:
                if found[role] is not None:
                    return None
                found[role] = line
        # Bearers of tokens are known elsewhere.
        return (found, own, gap) if found[Role.AUTHORIZATION] is None else None


def _envelope(
    start: Start,
    found: list[Line | None],
    headers: list[tuple[str, str]],
    gap: int,
    *,
    method: str,
    place: Place,
) -> Envelope:
    client, cookie = found[Role.CLIENT_ADDRESS], found[Role.COOKIE]
    connection = found[Role.CONNECTION]
    return Envelope(
        start,
        method=method,
        place=place,
        client=None if client is None else client[2],
        headers=tuple(headers),
        gap=gap,
        cookie=None if cookie is None else cookie[2],
        keep_alive=connection is None or connection[2] is True,
    )
