"""Responses as the bytes that a server writes, without the lines that the server itself adds."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import HttpResponse

_SENDABLE = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""In values; servers refuse to send any other byte."""
_NAME = re.compile(r"[a-z0-9-]+")
_SERVER_HEADERS = frozenset(["connection", "content-length", "date", "transfer-encoding"])


class RawResponse(NamedTuple):
    """A serialized response without the server's first lines.

    - `rest`: the header lines and the body.
    - `keep_alive`: whether the connection stays open.
    """

    status: int
    rest: bytes
    keep_alive: bool


def serialize(status: int, head: bytes, body: bytes, *, keep_alive: bool) -> RawResponse:
    """Return the response from its header lines and body; a response to HEAD has no `body`."""
    end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
    return RawResponse(status, b"".join((head, end, body)), keep_alive)


def serialize_headers(response: HttpResponse) -> bytes | None:
    """Return the header lines; None when a header is the server's own or cannot be sent."""
    try:
        values = "".join([value for _, value in response.headers]).encode("latin-1")
    except UnicodeEncodeError:
        return None
    if values.translate(None, _SENDABLE) or not all(
        _is_writable(name) for name, _ in response.headers
    ):
        return None
    lines = [f"{name}: {value}\r\n" for name, value in response.headers]
    lines.append(f"content-length: {len(response.body)}\r\n")
    return "".join(lines).encode("latin-1")


@lru_cache(maxsize=256)
def _is_writable(name: str) -> bool:
    """Whether a header of this name may be written. Few names occur, each of them often."""
    return name not in _SERVER_HEADERS and _NAME.fullmatch(name) is not None
