"""The bytes of a connection, read by h11 behind our grammar, in the shape of httptools' parser.

h11 is more lenient than we are. It is given only what `server/grammar.py` lets pass, one request to
each of its connections, so that what an application sees has passed both.
"""

from __future__ import annotations

from typing import Any, Protocol

import h11

from authz_sidecar.server.grammar import (
    METHODS,
    Chunks,
    Fields,
    Lines,
    MalformedError,
    request_line,
)

_OWN_NAMES = (b"\r\nConnection: close\r\n", b"\r\nTransfer-Encoding: chunked\r\n")


class Exchange(h11.Connection):
    """One request and its answer."""

    def send(self, event: Any) -> Any:
        written = super().send(event)
        if type(event) is h11.Response:
            for line in _OWN_NAMES:  # the others are lower case already, and all are with httptools
                written = written.replace(line, line.lower())
        return written


class Told(Protocol):
    """Who is told what is read, as httptools tells it."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class Parser:
    """Our grammar and h11 behind it, in the shape of httptools' parser. Raises `MalformedError`,
    `h11.RemoteProtocolError`, and what those raise whom it tells."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._lines = Lines()
        self._over = False
        self._reset()

    def _reset(self) -> None:
        self._begun = False
        self._method = b""
        self._target = b""
        self._version = b""
        self._head: list[bytes] = []
        self._fields = Fields()
        self._exchange: Exchange | None = None
        self._left = 0  # of a body whose length was given
        self._chunks: Chunks | None = None

    def feed_data(self, data: bytes) -> None:
        self._lines.add(data)
        more = True
        while more and self._lines and not self._over:
            exchange = self._exchange
            more = self._read_head() if exchange is None else self._read_body(exchange)
        if self._over:
            self._lines.drop()

    def drop(self) -> None:
        """Of a connection that is refused nothing more is read."""
        self._lines.drop()
        self._over = True

    # As httptools says it

    def get_method(self) -> bytes:
        return self._method

    def get_http_version(self) -> str:
        return self._version.decode("ascii")

    def should_keep_alive(self) -> bool:
        return self._version == b"1.1" and b"close" not in self._fields.connection

    def should_upgrade(self) -> bool:
        asked = self._fields.upgrade and b"upgrade" in self._fields.connection
        return asked or self._method == b"CONNECT"

    # What has come. Each says whether there may be more to read.

    def _read_head(self) -> bool:
        if not self._begun:
            self._lines.skip_empty()
            if not self._lines:
                return False
            self._begun = True
            self._told.on_message_begin()
        if not self._method and not self._lines.begins(METHODS):
            raise MalformedError("an unknown method")
        line = self._lines.next()
        if line is None:
            return False
        if not self._method:
            self._method, self._target, self._version = request_line(line)
            self._told.on_url(self._target)
        elif line:
            name, value = self._fields.read(line)
            self._told.on_header(name, value)
            if name.lower() == b"content-length":
                value = b"%d" % (self._fields.length or 0)  # h11 counts its digits, zeros too
            self._head.append(name + b": " + value)
        else:
            self._told.on_headers_complete()
            self._begin_body(self.exchange)
        return True

    @property
    def exchange(self) -> Exchange:
        """The one that begins with the head that has been read."""
        if self._exchange is None:
            self._exchange = exchange = Exchange(h11.SERVER)
            # To h11 an answer to CONNECT would be the last thing in HTTP.
            method = b"POST" if self._method == b"CONNECT" else self._method
            line = b"%b %b HTTP/%b" % (method, self._target, self._version)
            exchange.receive_data(b"\r\n".join((line, *self._head, b"", b"")))
            if type(exchange.next_event()) is not h11.Request:
                raise MalformedError("h11 reads something else")
        return self._exchange

    def _begin_body(self, exchange: Exchange) -> None:
        self._left = self._fields.length or 0
        if self.should_upgrade():
            # What follows is in a protocol that we do not speak, whatever length is given.
            self._over = True
            self._end()
        elif self._fields.chunked:
            self._chunks = Chunks(self._fields)
        elif not self._left:
            self._pass_on(exchange, b"")

    def _read_body(self, exchange: Exchange) -> bool:
        if self._chunks is not None:
            piece = self._chunks.read(self._lines)
        elif self._left:
            piece = self._lines.up_to(self._left)
            self._left -= len(piece)
        else:
            raise MalformedError("h11 reads a body where there is none")
        if piece is not None:
            self._pass_on(exchange, piece)
        return piece is not None

    def _pass_on(self, exchange: Exchange, piece: bytes) -> None:
        if piece:
            exchange.receive_data(piece)
        while (event := exchange.next_event()) is not h11.NEED_DATA:
            match event:
                case h11.Data():
                    self._told.on_body(bytes(event.data))
                case h11.EndOfMessage():
                    self._end()
                    return
                case _:
                    raise MalformedError("h11 reads something else")

    def _end(self) -> None:
        # RFC 9112 section 9.6: behind a request that is to be the last, nothing is one.
        self._over = self._over or not self.should_keep_alive()
        self._told.on_message_complete()
        self._reset()
