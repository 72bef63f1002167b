"""All of a question but what changes with every one: the target asked about, and Envoy's id for it.

Decides whether the lines of a head are plain, each of the proxy's facts there exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.adapters.base import RawRequest
from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.fastpath.header_lines import Lines, Role

if TYPE_CHECKING:
    from authz_sidecar.adapters.trusted_peers import Networks
    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.core.types import Address, CheckRequest, Headers
    from authz_sidecar.fastpath.adapters import Dialect, Start
    from authz_sidecar.fastpath.header_lines import Line
    from authz_sidecar.fastpath.response_cache import Pass
    from authz_sidecar.fastpath.route_cache import Place, Places

MOST_LINES = 64
MOST_PASSES = 16
"""Of one envelope: a browser asks for a page and what belongs to it with much the same lines."""
_LONGEST_PATH = 512


class Envelope:
    """`headers` are the client's own, `cookie` the one line of cookies; `bodiless` says that an
    answer must have no body, `kept` that the connection stays open after it. `passes` are the
    answers to what passed, by path."""

    __slots__ = (
        "_tokens",
        "bodiless",
        "client",
        "cookie",
        "dialect",
        "headers",
        "kept",
        "method",
        "passes",
        "place",
    )

    def __init__(
        self,
        start: Start,
        *,
        method: str,
        place: Place,
        client: Address | None,
        headers: Headers,
        cookie: str | None,
        keep_alive: bool,
    ) -> None:
        self.dialect: Dialect = start.dialect
        self.method = method
        self.place = place
        self.client = client
        self.headers = headers
        self.cookie = cookie
        self.bodiless = start.method == "HEAD"
        self.kept = start.newer and keep_alive
        self.passes: dict[bytes, Pass] = {}
        self._tokens: dict[str, str | None] = {}

    def token(self, provider: str) -> str | None:
        """The session with `provider` that the cookies name."""
        if provider not in self._tokens:
            lines = () if self.cookie is None else (self.cookie,)
            self._tokens[provider] = self.place.token(lines, provider)
        return self._tokens[provider]

    def keep(self, path: bytes, known: Pass) -> None:
        if len(path) > _LONGEST_PATH:
            return
        if len(self.passes) >= MOST_PASSES:
            self.passes.clear()
        self.passes[path] = known


class Envelopes:
    __slots__ = ("_known", "_learn", "_places")

    def __init__(self, *, places: Places, names: ProtectedNames, trusted_hops: Networks) -> None:
        self._places = places
        lines = Lines(names=names, trusted_hops=trusted_hops)
        self._known, self._learn = lines.known, lines.learn

    def open(self, start: Start, lines: list[bytes]) -> Envelope | None:
        """From the lines behind the request line. The target is not among them, nor is what else
        changes with each question."""
        read = self._read(lines)
        if read is None:
            return None
        found, headers = read
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
        return _envelope(start, found, headers, method=method, place=place)

    def headers(self, lines: list[bytes], *, new: bytes | None) -> Headers:
        """The client's own, of lines like those that an envelope was opened with. The one that
        begins with `new` never comes twice, and is not remembered."""
        own: list[tuple[str, str]] = []
        for each in lines:
            if new is not None and each.startswith(new):
                name, _, value = each.decode().partition(": ")
                own.append((name, value))
            elif (line := self._known.get(each) or self._learn(each)) and line[1] is not None:
                own.append(line[1])
        return tuple(own)

    def parse(self, start: Start, head: bytes) -> tuple[Envelope, CheckRequest] | None:
        """For adapters whose facts stand in other lines: whole, as they read them."""
        first, *raw = head[:-4].split(b"\r\n")
        read = self._read(raw)
        if read is None or read[0][Role.HOST] is None:
            return None
        line, *lines = (each.decode() for each in (first, *raw))
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
        if request.websocket or request.unsupported_upgrade:  # in whatever words the proxy says so
            return None
        place = self._places.of(request.origin)
        found, headers = read
        envelope = _envelope(start, found, headers, method=request.method, place=place)
        return envelope, request

    def _read(self, lines: list[bytes]) -> tuple[list[Line | None], list[tuple[str, str]]] | None:
        """The lines by their role, and the client's own."""
        if len(lines) > MOST_LINES:
            return None
        found: list[Line | None] = [None] * len(Role)
        own: list[tuple[str, str]] = []
        known, learn = self._known, self._learn
        for each in lines:
            line = known.get(each) or learn(each)
            if line is None:
                return None
            role, pair, _ = line
            if pair is not None:
                own.append(pair)
            if role > Role.PROXYS:
                if found[role] is not None:
                    return None
                found[role] = line
        # Bearers of tokens are known elsewhere.
        return (found, own) if found[Role.AUTHORIZATION] is None else None


def _envelope(
    start: Start,
    found: list[Line | None],
    headers: list[tuple[str, str]],
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
        cookie=None if cookie is None else cookie[2],
        keep_alive=connection is None or connection[2] is True,
    )
