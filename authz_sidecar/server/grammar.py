"""The letter of HTTP/1.1, as strictly as llhttp (httptools) takes it, for the parser that does not.

Decides which lines are those of a request, and where a chunked body ends. h11 reads a bare LF as the
end of a line, joins folded lines, prefers one of two lengths and passes over what it does not know
in a chunk; each of these is two readings of one request, one of them at the proxy's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# RFC 9110 section 9 and what registered extensions add; others are refused as llhttp refuses them.
METHODS = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY "
    b"ACL BIND CHECKOUT COPY LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY "
    b"PROPFIND PROPPATCH PURGE REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK "
    b"UNSUBSCRIBE".split()
)
_VERSIONS = frozenset({b"0.9", b"1.0", b"1.1", b"2.0"})
_LARGEST = (1 << 64) - 1

# Possessive, all of them: a line that fails late must not fail again from every byte before.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]"
_QUOTED = rb"\"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+\""
_REQUEST = re.compile(rb"([A-Z-]++) ++([/*A-Za-z][!-~]*+)(?: ++HTTP/([0-9]\.[0-9]))?")
_FIELD = re.compile(rb"(%b++):[ \t]*+(%b*+)" % (_TOKEN, _TEXT))
_NEVER = re.compile(rb"[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\Z)")  # in a line that has not ended
_EXTENSION = rb";(?!\Z)%b*+(?:=%b*+(?:%b)?)?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE = re.compile(rb"([0-9A-Fa-f]++)(?:%b)*+" % _EXTENSION)


class MalformedError(Exception):
    """Not HTTP, or not to the letter."""


class Lines:
    """Bytes as they come, to be taken line by line."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, data: bytes) -> None:
        self._held += data

    def drop(self) -> None:
        self._held.clear()
        self._searched = 0

    def skip_empty(self) -> None:
        """RFC 9112 section 2.2: empty lines before a request line are ignored."""
        del self._held[: len(self._held) - len(self._held.lstrip(b"\r\n"))]

    def begins(self, words: frozenset[bytes]) -> bool:
        """Whether the first word is one of `words`, or can still become one."""
        word, space, _ = bytes(self._held[:32]).partition(b" ")
        return word in words if space else any(each.startswith(word) for each in words)

    def next(self) -> bytes | None:
        """The next line without its CRLF; None while it is incomplete."""
        end = self._held.find(b"\n", self._searched)
        if end < 0:
            if _NEVER.search(self._held, max(self._searched - 1, 0)):
                raise MalformedError("a control byte")
            self._searched = len(self._held)
            return None
        if self._held[max(end - 1, 0)] != ord("\r"):
            raise MalformedError("a line ends without CR")
        line = bytes(self._held[: end - 1])
        self._take(end + 1)
        return line

    def up_to(self, size: int) -> bytes:
        """As many bytes as there are, `size` at most, whatever they mean."""
        taken = bytes(self._held[:size])
        self._take(len(taken))
        return taken

    def _take(self, size: int) -> None:
        del self._held[:size]
        self._searched = 0


def request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and version, which is 0.9 where none is given."""
    found = _REQUEST.fullmatch(line)
    if found is None:
        raise MalformedError("not a request line")
    method, target, version = found.groups(default=b"0.9")
    if method not in METHODS or version not in _VERSIONS:
        raise MalformedError("an unknown method or version")
    return method, target, version


@dataclass(slots=True, kw_only=True)
class Fields:
    """The header lines of one request, and what they say of its body and its connection. Trailer
    fields are read by the same, behind the others."""

    length: int | None = None
    chunked: bool = False
    upgrade: bool = False
    connection: set[bytes] = field(default_factory=set)

    def read(self, line: bytes) -> tuple[bytes, bytes]:
        """Name and value. What follows the value is left as it came, as httptools leaves it."""
        found = _FIELD.fullmatch(line)
        if found is None:
            raise MalformedError("not a header line")
        name, value = found.groups()
        match name.lower():
            case b"content-length":
                self._take_length(value.rstrip(b" \t"))
            case b"transfer-encoding":
                self._take_coding(value)
            case b"upgrade":
                self.upgrade = True
            case b"connection" | b"proxy-connection":
                self.connection |= {each.strip(b" \t").lower() for each in value.split(b",")}
            case _:
                pass
        return name, value

    def _take_length(self, value: bytes) -> None:
        # RFC 9112 section 6.3: with both, one of the two readings is an attack.
        if self.length is not None or self.chunked or not value.isdigit():
            raise MalformedError("two lengths, or none")
        self.length = int(value.lstrip(b"0")[:21] or b"0")
        if self.length > _LARGEST:
            raise MalformedError("a length beyond measure")

    def _take_coding(self, value: bytes) -> None:
        # Whether it is one that is known, `limits.validate_head` says.
        if self.length is not None or self.chunked or not value.strip(b" \t"):
            raise MalformedError("two lengths, or none")
        self.chunked = value.rstrip(b" ").lower() == b"chunked"


@dataclass(slots=True)
class Chunks:
    """A chunked body, RFC 9112 section 7.1, without its extensions and trailer fields."""

    fields: Fields
    _left: int = 0  # of the chunk's content
    _ends: bool = False  # the line end behind the content is next
    _trailer: bool = False
    done: bool = False

    def read(self, lines: Lines) -> bytes | None:
        """The next piece, as it is to be written; None while there is none."""
        if self._left:
            piece = lines.up_to(self._left)
            self._left -= len(piece)
            self._ends = not self._left
            return piece or None
        line = lines.next()
        if line is None:
            return None
        if self._ends:
            if line:
                raise MalformedError("a chunk is longer than it says")
            self._ends = False
            return b"\r\n"
        if not self._trailer:
            return self._begin(line)
        if line:
            self.fields.read(line)
            return b""
        self.done = True
        return b"\r\n"

    def _begin(self, line: bytes) -> bytes:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise MalformedError("not the size of a chunk")
        size = found[1].lstrip(b"0")
        if len(size) > 16:
            raise MalformedError("a chunk beyond measure")
        self._left = int(size or b"0", base=16)
        self._trailer = not self._left
        return b"%x\r\n" % self._left
