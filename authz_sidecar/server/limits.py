"""The limits of a listener, and the error responses that refuse a request. Pure.

`server/protocol.py` applies them to a connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from authz_sidecar.core.browser_headers import ISOLATION_HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# RFC 9112 section 3.2.1, origin-form only: absolute-form names a second host, and a fragment or a
# byte outside visible ASCII reads differently from one server to the next.
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_ISOLATION = tuple(
    (name.encode("ascii"), value.encode("ascii")) for name, value in ISOLATION_HEADERS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """The limits of one listener.

    `max_head_bytes`: the request line and all header lines.
    `max_header_lines`: header lines of one request.
    `head_timeout_seconds`: from the first byte of a head, or from the start of the connection, to
      its end.
    `body_timeout_seconds`: from the end of the head to the end of the body.
    `max_framing_bytes`: chunk extensions and trailer fields between two pieces of content.
    `write_timeout_seconds`: how long a client may stop reading a response.
    `linger_seconds`: how long input is discarded after an error response, before the connection
      closes.
    `drain_grace_seconds`: how long an idle connection stays open at a stop.
    `max_pipelined`: requests of one connection that wait for earlier responses.
    `max_connections`: open connections of the listener.
    """

    max_head_bytes: int = 64 * 1024
    max_header_lines: int = 100
    head_timeout_seconds: float = 5.0
    body_timeout_seconds: float = 30.0
    max_framing_bytes: int = 64 * 1024
    write_timeout_seconds: float = 30.0
    linger_seconds: float = 1.0
    drain_grace_seconds: float = 0.25
    max_pipelined: int = 32
    max_connections: int = 4096


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The response to a refused request; `message` is its ASCII body."""

    status: int
    message: str

    def serialize(self, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the response in bytes. It says that the connection closes."""
        body = self.message.encode("ascii")
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


def validate_head(
    target: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]
) -> ErrorResponse | None:
    """Return the error response for a request head that the parser accepts and we refuse, or None.

    Header names are in lower case. The rules are those of RFC 9112 sections 3.2 and 6.1.
    """
    if version not in {"1.0", "1.1"}:
        return ErrorResponse(505, "Only HTTP/1.1 is supported.")
    if not _TARGET.fullmatch(target):
        return ErrorResponse(400, "The request target is malformed.")
    hosts = codings = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            codings += 1 if value.rstrip(b" ").lower() == b"chunked" else 2
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        # RFC 9112 section 3.2
        return ErrorResponse(400, "The request must have exactly one Host header.")
    if codings > 1:
        # RFC 9112 section 6.1: "a transfer coding it does not understand"
        return ErrorResponse(501, "Only the transfer coding `chunked` is supported.")
    return None
