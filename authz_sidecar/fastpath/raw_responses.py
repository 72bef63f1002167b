"""A reply in the bytes that a server writes for it, without the lines that are the server's own."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz_sidecar.adapters.base import Reply

_SENDABLE = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""In values; the rest a server refuses to send."""
_NAME = re.compile(r"[a-z0-9-]+")
_SERVERS_OWN = frozenset(["connection", "content-length", "date", "transfer-encoding"])


class Written(NamedTuple):
    """A reply but for its first lines, which are the server's: `rest` begins with the header lines
    of the reply. `kept` says whether the connection stays open."""

    status: int
    rest: bytes
    kept: bool


def written(status: int, head: bytes, body: bytes, *, kept: bool) -> Written:
    """`head` are the header lines, each with its end; a reply to HEAD has no `body`."""
    end = b"\r\n" if kept else b"connection: close\r\n\r\n"
    return Written(status, b"".join((head, end, body)), kept)


def head_of(reply: Reply) -> bytes | None:
    """The header lines; None where they are not for us to write."""
    try:
        values = "".join([value for _, value in reply.headers]).encode("latin-1")
    except UnicodeEncodeError:
        return None
    if values.translate(None, _SENDABLE) or not all(_is_ours(name) for name, _ in reply.headers):
        return None
    lines = [f"{name}: {value}\r\n" for name, value in reply.headers]
    lines.append(f"content-length: {len(reply.body)}\r\n")
    return "".join(lines).encode("latin-1")


@lru_cache(maxsize=256)
def _is_ours(name: str) -> bool:
    """Few names are ever sent, each of them very often."""
    return name not in _SERVERS_OWN and _NAME.fullmatch(name) is not None
