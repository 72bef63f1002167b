"""From the bytes of a question to the request it asks about, as strict as the adapters.

Decides which questions are plain enough: one whole head and nothing behind it, lines that read in
one way only, each of the proxy's facts exactly once. Of any other it says nothing at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.core.types import CheckRequest
from authz_sidecar.errors import BadProxyRequest
from authz_sidecar.lane.lines import Lines, Role
from authz_sidecar.proxies import envoy, reading
from authz_sidecar.proxies.base import RawRequest
from authz_sidecar.proxies.forwarded import Relaying
from authz_sidecar.proxies.nginx import Nginx, NginxChallenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.types import Fact
    from authz_sidecar.lane.lines import Line
    from authz_sidecar.lane.places import Place, Places
    from authz_sidecar.proxies.base import Adapter
    from authz_sidecar.proxies.trust import Networks

LONGEST = 16 * 1024
MOST_LINES = 64

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
# RFC 3986 section 3.3; whatever else a target may hold, the parser is to judge.
_BELOW_ENVOY = re.compile(
    rf"({'|'.join(_METHODS)}) {envoy.PREFIX}(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)"
    r" HTTP/1\.([01])".encode()
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect:
    """An adapter as we know it. `said` is the name it gives to the requests it reads; `repeats`
    says that what it answers to an allowed request does not depend on the request."""

    adapter: Adapter
    name: str
    said: str
    facts: frozenset[Fact]
    forwarded: bool
    repeats: bool


class Start(NamedTuple):
    """A request line. `target` is what Envoy wants to know about."""

    dialect: Dialect
    method: str
    newer: bool
    target: str = ""


class Question(NamedTuple):
    """`cookie` is the one line of cookies; `bodiless` that the answer must have no body, `kept`
    that the connection stays open after it."""

    dialect: Dialect
    request: CheckRequest
    place: Place
    cookie: Line | None
    bodiless: bool
    kept: bool


class Questions:
    __slots__ = ("_envoy", "_learn", "_lines", "_places", "_starts")

    def __init__(
        self, adapters: Mapping[str, Adapter], *, places: Places, trusted_hops: Networks
    ) -> None:
        dialects = {path: _dialect(adapter) for path, adapter in adapters.items()}
        self._envoy = dialects.pop(f"{envoy.PREFIX}/", None)
        self._starts = {
            f"{method} {path} HTTP/1.{minor}".encode(): Start(dialect, method, minor == 1)
            for path, dialect in dialects.items()
            for method in _METHODS
            for minor in (0, 1)
        }
        self._places = places
        lines = Lines(trusted_hops=trusted_hops)
        self._lines, self._learn = lines.known, lines.learn

    def read(self, data: bytes) -> Question | None:  # noqa: PLR0911 - so many ways to be unusual
        if len(data) > LONGEST:
            return None
        raw = data.split(b"\r\n")
        if not 3 < len(raw) <= MOST_LINES or raw[-1] or raw[-2]:
            return None
        start = self._starts.get(raw[0]) or self._envoys(raw[0])
        if start is None:
            return None
        found: list[Line | None] = [None] * len(Role)
        own: list[tuple[str, str]] = []
        known, learn = self._lines, self._learn
        for each in raw[1:-2]:
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
        if found[Role.HOST] is None or found[Role.AUTHORIZATION] is not None:
            return None
        return self._question(start, raw, found, tuple(own))

    def _envoys(self, line: bytes) -> Start | None:
        if self._envoy is None or (parts := _BELOW_ENVOY.fullmatch(line)) is None:
            return None
        method, target, minor = parts.groups()
        return Start(self._envoy, method.decode(), minor == b"1", target.decode())

    def _question(
        self,
        start: Start,
        raw: list[bytes],
        found: list[Line | None],
        own: tuple[tuple[str, str], ...],
    ) -> Question | None:
        dialect = start.dialect
        method, target = found[Role.METHOD], found[Role.URI]
        proto, host = found[Role.PROTO], found[Role.FORWARDED_HOST]
        if start.target:  # these are the question's own, whatever the lines say
            method = Role.METHOD, None, start.method
            target = Role.URI, None, start.target
            host = found[Role.HOST]
        elif not dialect.forwarded:
            return self._parsed(start, raw, found)
        if method is None or proto is None or host is None or target is None:
            return None
        place = self._places.find(proto[2], host[2])
        if place is None:
            return None
        try:
            path, query = reading.target(target[2])
        except BadProxyRequest:
            return None
        client = found[Role.CLIENT_ADDRESS]
        request = CheckRequest(
            adapter=dialect.said,
            method=method[2],
            origin=place.origin,
            path=path,
            query=query,
            client=None if client is None else client[2],
            headers=own,
            facts=dialect.facts,
        )
        return _asked(start, request, place, found)

    def _parsed(self, start: Start, raw: list[bytes], found: list[Line | None]) -> Question | None:
        """For adapters whose facts stand in other lines: as they read them."""
        pairs = (each.decode().partition(": ") for each in raw[1:-2])
        asked = RawRequest(
            method=start.method,
            target=raw[0].split(b" ")[1].decode(),
            headers=tuple((name.lower(), value) for name, _, value in pairs),
            peer=None,
        )
        try:
            request = start.dialect.adapter.parse(asked)
        except BadProxyRequest:
            return None
        place = None if request.websocket else self._places.of(request.origin)
        return None if place is None else _asked(start, request, place, found)


def _asked(start: Start, request: CheckRequest, place: Place, found: list[Line | None]) -> Question:
    connection = found[Role.CONNECTION]
    kept = start.newer and (connection is None or connection[2] is True)
    return Question(start.dialect, request, place, found[Role.COOKIE], start.method == "HEAD", kept)


def _dialect(adapter: Adapter) -> Dialect:
    return Dialect(
        adapter=adapter,
        name=adapter.name,
        said="nginx" if isinstance(adapter, NginxChallenge) else adapter.name,
        facts=adapter.facts,
        forwarded=isinstance(adapter, Nginx | NginxChallenge | Relaying),
        repeats=not isinstance(adapter, NginxChallenge),
    )
