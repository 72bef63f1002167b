"""From the bytes of a question to the request it asks about, as strict as the adapters.

Decides which questions are plain enough: one whole head and nothing behind it, in lines that read
in one way only. Of any other it says nothing at all.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from authz_sidecar.core.caching import Memory
from authz_sidecar.core.types import CheckRequest
from authz_sidecar.fastpath.adapters import BELOW_ENVOY, Dialects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.core.types import Headers
    from authz_sidecar.fastpath.header_blocks import Envelope, Envelopes

LONGEST = 16 * 1024
MOST_REMEMBERED_BYTES = 16 * 1024 * 1024
_ENVELOPE_BYTES, _LINE_BYTES = 2000, 160
"""Beside the lines: what is parsed of them, once more the lines, and what passed in them."""

_URI = b"\r\nX-Forwarded-Uri: "  # as most proxies write it
_AFTER_URI = len(_URI)
_ID = b"x-request-id: "
_PLAIN = re.compile(rb"[\x21-\x7e]+")


class Question:
    """`path` and `query` are as they came: a request may be made of them once they are known to be
    of the grammar (`roads`). `headers` are the envelope's where they are None; the request may be
    known already."""

    __slots__ = ("_headers", "_request", "envelope", "path", "query")

    def __init__(
        self,
        envelope: Envelope,
        target: bytes,
        headers: Headers | None = None,
        request: CheckRequest | None = None,
    ) -> None:
        self.envelope = envelope
        path, mark, query = target.partition(b"?")
        self.path = path
        self.query = query if mark else None
        self._headers = headers
        self._request = request

    @property
    def repeats_headers(self) -> bool:
        """Whether everything but the target is what it was whenever this envelope came."""
        return self._headers is None

    @property
    def request(self) -> CheckRequest:
        if self._request is None:
            envelope = self.envelope
            self._request = CheckRequest(
                adapter=envelope.dialect.said,
                method=envelope.method,
                origin=envelope.place.origin,
                path=self.path.decode(),
                query=None if self.query is None else self.query.decode(),
                client=envelope.client,
                headers=envelope.headers if self._headers is None else self._headers,
                facts=envelope.dialect.facts,
                repeated=envelope.dialect.repeated,
            )
        return self._request


class Questions:
    __slots__ = ("_at", "_dialects", "_envelopes", "_known")

    def __init__(self, adapters: Mapping[str, Adapter], *, envelopes: Envelopes) -> None:
        self._at = 0
        self._dialects = Dialects(adapters)
        self._envelopes = envelopes
        self._known: Memory[tuple[bytes, ...], Envelope] = Memory(most=MOST_REMEMBERED_BYTES)

    def glance(self, data: bytes) -> tuple[Envelope | None, bytes]:
        """The envelope, if it came before, and the target."""
        if len(data) > LONGEST:
            return None, b""
        # Mostly the target stands where it stood last. Wherever it is looked for, an envelope that
        # is known has no second one.
        at = self._at
        if data[at : at + _AFTER_URI] != _URI:
            at = data.find(_URI)
            if at < 0:
                return self._glance_below_envoy(data)
            self._at = at
        begin = at + _AFTER_URI
        end = data.find(b"\r", begin)
        return self._known.get((data[:at], data[end:])), data[begin:end]

    def read(self, data: bytes) -> Question | None:
        if len(data) > LONGEST or data[-4:] != b"\r\n\r\n":
            return None
        at = data.find(_URI)
        if at >= 0:
            return self._forwarded(data, at)
        asked = BELOW_ENVOY.match(data)
        return self._others(data) if asked is None else self._below_envoy(data, asked)

    def _forwarded(self, data: bytes, at: int) -> Question | None:
        begin = at + _AFTER_URI
        end = data.find(b"\r\n", begin)
        key = data[:at], data[end:]
        envelope = self._known.get(key)
        if envelope is None:
            line, *before = key[0].split(b"\r\n")
            start = self._dialects.starts.get(line)
            if start is None or not start.dialect.forwarded:
                return None
            envelope = self._envelopes.open(start, [*before, *key[1].split(b"\r\n")[1:-2]])
            if envelope is None:
                return None
            self._remember(key, envelope)
        return Question(envelope, data[begin:end])

    def _glance_below_envoy(self, data: bytes) -> tuple[Envelope | None, bytes]:
        asked = BELOW_ENVOY.match(data)
        if asked is None or data[-4:] != b"\r\n\r\n":
            return None, b""
        method, target, minor = asked.groups()
        lines, identifier = _sorted(data[asked.end() : -4])
        if identifier is not None and not _PLAIN.fullmatch(identifier):
            return None, b""
        return self._known.get((method, minor, b"\r\n".join(lines))), target

    def _below_envoy(self, data: bytes, asked: re.Match[bytes]) -> Question | None:
        method, target, minor = asked.groups()
        came = data[asked.end() : -4]
        lines, identifier = _sorted(came)
        if identifier is not None and not _PLAIN.fullmatch(identifier):
            return None
        key = method, minor, b"\r\n".join(lines)
        envelope = self._known.get(key)
        if envelope is None:
            start = self._dialects.envoy.get((method, minor))
            envelope = None if start is None else self._envelopes.open(start, lines)
            if envelope is None:
                return None
            self._remember(key, envelope)
        new = None if identifier is None else _ID
        return Question(envelope, target, self._envelopes.headers(came.split(b"\r\n"), new=new))

    def _others(self, data: bytes) -> Question | None:
        start = self._dialects.start(data.partition(b"\r\n")[0])
        if start is None:
            return None
        if start.dialect.forwarded:
            at = data.lower().find(_URI.lower())
            return None if at < 0 else self._forwarded(data, at)
        parsed = self._envelopes.parse(start, data)
        if parsed is None:
            return None
        envelope, request = parsed
        return Question(envelope, request.target.encode(), request=request)

    def _remember(self, key: tuple[bytes, ...], envelope: Envelope) -> None:
        parsed = _ENVELOPE_BYTES + _LINE_BYTES * len(envelope.headers)
        self._known.put(key, envelope, size=2 * sum(map(len, key)) + parsed)


def _sorted(lines: bytes) -> tuple[list[bytes], bytes | None]:
    """Envoy shuffles its lines from question to question, and gives each an id of its own: the
    lines but for that, in one order, and the id."""
    several = lines.split(b"\r\n")
    several.sort()
    at = bisect_left(several, _ID)
    if at < len(several) and several[at].startswith(_ID):
        return several, several.pop(at)[len(_ID) :]
    return several, None
