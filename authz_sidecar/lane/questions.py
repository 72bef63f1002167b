"""From the bytes of a question to the request it asks about, as strict as the adapters.

Decides which questions are plain enough: one whole head and nothing behind it, in lines that read
in one way only. Of any other it says nothing at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authz_sidecar.core.types import CheckRequest
from authz_sidecar.lane.dialects import BELOW_ENVOY, Dialects
from authz_sidecar.lane.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.lane.envelopes import Envelope, Envelopes
    from authz_sidecar.proxies.base import Adapter

LONGEST = 16 * 1024
MOST_REMEMBERED_BYTES = 16 * 1024 * 1024

_URI = b"\r\nX-Forwarded-Uri: "  # as most proxies write it
_ID = b"\r\nx-request-id: "  # of Envoy, new with each question
_ID_NAME = "x-request-id"
_PLAIN = re.compile(rb"[\x21-\x7e]+")


class Question:
    """`path` and `query` are as they came: a request may be made of them once they are known to be
    of the grammar (`roads`). `id` stands in the envelope's gap. `single`: nobody will ask in the
    same envelope again."""

    __slots__ = ("_request", "envelope", "id", "path", "query", "single")

    def __init__(
        self,
        envelope: Envelope,
        target: bytes,
        id: bytes | None = None,  # noqa: A002
    ) -> None:
        self.envelope = envelope
        path, mark, query = target.partition(b"?")
        self.path = path
        self.query = query if mark else None
        self.id = id
        self.single = False
        self._request: CheckRequest | None = None

    @classmethod
    def of(cls, envelope: Envelope, request: CheckRequest) -> Question:
        question = cls(envelope, request.target.encode())
        question.single, question._request = True, request
        return question

    @property
    def request(self) -> CheckRequest:
        if self._request is None:
            envelope = self.envelope
            headers = envelope.headers
            if self.id is not None:
                pair = _ID_NAME, self.id.decode()
                headers = (*headers[: envelope.gap], pair, *headers[envelope.gap :])
            self._request = CheckRequest(
                adapter=envelope.dialect.said,
                method=envelope.method,
                origin=envelope.place.origin,
                path=self.path.decode(),
                query=None if self.query is None else self.query.decode(),
                client=envelope.client,
                headers=headers,
                facts=envelope.dialect.facts,
            )
        return self._request


class Questions:
    __slots__ = ("_dialects", "_envelopes", "_known")

    def __init__(self, adapters: Mapping[str, Adapter], *, envelopes: Envelopes) -> None:
        self._dialects = Dialects(adapters)
        self._envelopes = envelopes
        self._known: Memory[tuple[bytes, ...], Envelope] = Memory(most=MOST_REMEMBERED_BYTES)

    def read(self, data: bytes) -> Question | None:
        if len(data) > LONGEST or data[-4:] != b"\r\n\r\n":
            return None
        at = data.find(_URI)
        if at < 0:
            return self._envoys(data)
        return self._forwarded(data, at)

    def _forwarded(self, data: bytes, at: int) -> Question | None:
        begin = at + len(_URI)
        end = data.find(b"\r\n", begin)
        before, after = data[:at], data[end:]
        envelope = self._known.get((before, after))
        if envelope is None:
            envelope = self._open(before, after)
        return None if envelope is None else Question(envelope, data[begin:end])

    def _open(self, before: bytes, after: bytes) -> Envelope | None:
        start = self._dialects.starts.get(before.partition(b"\r\n")[0])
        if start is None or not start.dialect.forwarded:
            return None
        envelope = self._envelopes.open(start, before, after)
        if envelope is not None:
            self._known.put(
                (before, after), envelope, size=len(before) + len(after) + envelope.size
            )
        return envelope

    def _envoys(self, data: bytes) -> Question | None:
        asked = BELOW_ENVOY.match(data)
        if asked is None:
            return self._others(data)
        method, target, minor = asked.groups()
        rest = asked.end() - 2
        at, identifier = data.find(_ID, rest), None
        if at < 0:
            before, after = data[rest:], b""
        else:
            begin = at + len(_ID)
            end = data.find(b"\r\n", begin)
            identifier = data[begin:end]
            if not _PLAIN.fullmatch(identifier):
                return None
            before, after = data[rest:at], data[end:]
        key = before, after, method, minor
        envelope = self._known.get(key)
        if envelope is None:
            start = self._dialects.envoy.get((method, minor))
            envelope = None if start is None else self._envelopes.open(start, before, after)
            if envelope is None:
                return None
            self._known.put(key, envelope, size=len(before) + len(after) + envelope.size)
        return Question(envelope, target, identifier)

    def _others(self, data: bytes) -> Question | None:
        start = self._dialects.starts.get(data.partition(b"\r\n")[0])
        if start is None:
            return None
        if start.dialect.forwarded:
            at = data.lower().find(_URI.lower())
            return None if at < 0 else self._forwarded(data, at)
        parsed = self._envelopes.parse(start, data)
        return None if parsed is None else Question.of(*parsed)
