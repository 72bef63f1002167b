"""A reply in the bytes that a server writes for it, without the lines that are the server's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz_sidecar.proxies.base import Reply

# What a server refuses to send, or takes to itself.
_UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
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
    lines = []
    for name, value in reply.headers:
        try:
            sent = value.encode("latin-1")
        except UnicodeEncodeError:
            return None
        if not _NAME.fullmatch(name) or name in _SERVERS_OWN or _UNSENDABLE.search(sent):
            return None
        lines.append(b"%b: %b\r\n" % (name.encode(), sent))
    lines.append(b"content-length: %d\r\n" % len(reply.body))
    return b"".join(lines)
