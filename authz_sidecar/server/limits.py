"""What a listener accepts, and what it says otherwise: the same whichever parser reads the bytes.
Pure; the connection that keeps to it is `server/protocol.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from authz_sidecar.core.browser_headers import ISOLATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# RFC 9112 section 3.2.1, origin-form only: absolute-form names a second host, and a fragment or a
# byte outside visible ASCII reads differently from one server to the next.
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_ISOLATION = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in ISOLATION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one listener accepts. A head is the request line with all header lines; `waiting` are
    requests of one connection whose turn has not come. Within `answer_seconds` the client has to
    go on reading. `framing_bytes` are those of a body that are no content: chunk extensions and
    trailer fields, between two pieces of content."""

    head_bytes: int = 64 * 1024
    head_lines: int = 100
    head_seconds: float = 5.0
    body_seconds: float = 30.0
    framing_bytes: int = 64 * 1024
    answer_seconds: float = 30.0
    linger_seconds: float = 1.0
    last_call_seconds: float = 0.25
    waiting: int = 32
    connections: int = 4096


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    sentence: str

    def written(self, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The whole answer, after which the connection ends."""
        body = self.sentence.encode("ascii")
        headers = [
            *default_headers,
            *_ISOLATION,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"connection", b"close"),
        ]
        status = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n".encode("ascii")
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return status + lines + b"\r\n" + body


def judged(target: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]) -> Refusal | None:
    """Why a head that the parser could read is refused all the same. Names are in lower case."""
    if version not in {"1.0", "1.1"}:
        return Refusal(505, "Only HTTP/1.1 is spoken here.")
    if not _TARGET.fullmatch(target):
        return Refusal(400, "The request target is malformed.")
    hosts = codings = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings += 1 if value.rstrip(b" ").lower() == b"chunked" else 2
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        # RFC 9112 section 3.2
        return Refusal(400, "The request must have exactly one Host header.")
    if codings > 1:
        # RFC 9112 section 6.1: "a transfer coding it does not understand"
        return Refusal(501, "No transfer coding but chunked is known here.")
    return None
