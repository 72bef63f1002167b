"""HTTP/1.1 as bytes on a socket: what a test sends is what the server gets, and nothing between
them repairs it. Shared by the client, the recording application and the tap."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Protocol

LIMIT = 1 << 20

Lines = tuple[tuple[str, str], ...]


class Stream(Protocol):
    def recv(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request or an answer. Header names are as they were sent; `body` is decoded if chunked, and
    `trailers` are the lines behind it."""

    start: str
    headers: Lines
    body: bytes = b""
    trailers: Lines = ()

    @property
    def method(self) -> str:
        return self.start.split(" ", 2)[0]

    @property
    def target(self) -> str:
        return self.start.split(" ", 2)[1]

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order of arrival."""
        return tuple(value for key, value in self.headers if key.lower() == name.lower())

    def one(self, name: str) -> str | None:
        """The value of a header that may come once at most."""
        values = self.all(name)
        assert len(values) <= 1, f"`{name}` came {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name.lower() for name, _ in self.headers)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Reader:
    """Reads messages from a stream. None stands for a connection that ended before one began."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._pending = b""

    @property
    def pending(self) -> bytes:
        return self._pending

    def request(self) -> Message | None:
        head = self._head()
        return None if head is None else self._with_body(head, until_closed=False)

    def answer(self, *, to: str = "GET") -> Message | None:
        """The final answer; interim ones are skipped, except 101, after which HTTP ends."""
        while (head := self._head()) is not None:
            if head.status == 101:
                return head
            if head.status < 200:
                continue
            if to == "HEAD" or head.status in (204, 304):
                return head
            return self._with_body(head, until_closed=True)
        return None

    def exactly(self, size: int) -> bytes:
        while len(self._pending) < size:
            self._more()
        return self._take(size)

    def _head(self) -> Message | None:
        while b"\r\n\r\n" not in self._pending:
            if len(self._pending) > LIMIT:
                raise ValueError("a head without an end")
            try:
                self._more()
            except (ConnectionError, EOFError):
                return None
        start, *lines = (
            self._take(self._pending.index(b"\r\n\r\n") + 4)[:-4].decode("latin-1").split("\r\n")
        )
        return Message(start=start, headers=_pairs(lines))

    def _with_body(self, head: Message, *, until_closed: bool) -> Message:
        trailers: Lines = ()
        if "chunked" in ",".join(head.all("transfer-encoding")).lower():
            body = self._chunks()
            trailers = self._trailers()
        elif length := head.all("content-length"):
            body = self.exactly(int(length[0]))
        elif until_closed:
            body = self._rest()
        else:
            body = b""
        return Message(start=head.start, headers=head.headers, body=body, trailers=trailers)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line().partition(b";")[0], 16):
            body += self.exactly(size)
            self._line()
        return body

    def _trailers(self) -> Lines:
        lines = []
        while line := self._line():
            lines.append(line.decode("latin-1"))
        return _pairs(lines)

    def _line(self) -> bytes:
        while b"\r\n" not in self._pending:
            self._more()
        return self._take(self._pending.index(b"\r\n") + 2)[:-2]

    def _rest(self) -> bytes:
        try:
            while True:
                self._more()
        except (ConnectionError, EOFError):
            return self._take(len(self._pending))

    def _take(self, size: int) -> bytes:
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken

    def _more(self) -> None:
        # Some proxies close TLS without saying so.
        try:
            data = self._stream.recv(65536)
        except ssl.SSLEOFError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self._pending += data


def _pairs(lines: list[str]) -> Lines:
    split = (line.partition(":") for line in lines)
    return tuple((name, value.strip(" \t")) for name, _, value in split)


def request_bytes(
    method: str,
    target: str,
    headers: Lines | list[tuple[str, str]],
    body: bytes = b"",
    *,
    version: str = "HTTP/1.1",
) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{method} {target} {version}\r\n{head}\r\n".encode("latin-1") + body


def answer_bytes(status: str, headers: Lines | list[tuple[str, str]], body: bytes = b"") -> bytes:
    """`Content-Length` is added; every other line is the caller's, however odd."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def connect(
    port: int,
    *,
    server_name: str | None = None,
    protocol: str = "http/1.1",
    timeout: float = 20.0,
) -> socket.socket:
    """A socket to 127.0.0.1, with TLS where a server name is given; the name is not verified,
    because the certificate is the run's own."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    if server_name is None:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    try:
        return context.wrap_socket(plain, server_hostname=server_name)
    except BaseException:
        plain.close()
        raise
