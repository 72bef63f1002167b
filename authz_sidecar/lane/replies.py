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
    """`head` are the header lines of the reply, each with its end; the body, which a reply to HEAD
    does not have; and whether the connection stays open."""

    status: int
    head: bytes
    body: bytes
    kept: bool


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
