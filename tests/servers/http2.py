"""As much of HTTP/2 as tests need that no library does: a request whose pseudo-headers and headers
disagree, or that has trailers of any name; and an application that sees whether a request had trailers
(RFC 9113, RFC 7541)."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.listening import Listening
from tests.servers.wire import connect

if TYPE_CHECKING:
    import socket

    from tests.servers.sidecar import Listener
    from tests.servers.wire import Lines

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_STATUS_200 = b"\x88"  # RFC 7541 appendix A: index 8


def send(
    port: int,
    *,
    server_name: str,
    headers: Lines,
    body: bytes = b"",
    trailers: Lines = (),
    stays_open: bool = False,
) -> None:
    """One request; returns when its answer, or its refusal, is complete. One that `stays_open` has no
    end (RFC 8441): then the head of the answer is enough."""
    with contextlib.closing(connect(port, server_name=server_name, protocol="h2")) as connection:
        request = _request(headers, body, trailers, stays_open=stays_open)
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + request)
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                kind, flags, stream, payload = _read(connection)
                if kind == _SETTINGS and not flags & _ACK:
                    connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
                elif kind == _PING and not flags & _ACK:
                    connection.sendall(_frame(_PING, _ACK, 0, payload))
                elif (
                    kind == _GO_AWAY
                    or (kind == _RESET and stream == 1)
                    or (kind in (_DATA, _HEADERS) and stream == 1 and flags & _END_STREAM)
                    or (kind == _HEADERS and stream == 1 and stays_open)
                ):
                    return


def _request(headers: Lines, body: bytes, trailers: Lines, *, stays_open: bool) -> bytes:
    frames = [(_HEADERS, _END_HEADERS, b"".join(map(_literal, headers)))]
    if body:
        frames.append((_DATA, 0, body))
    if trailers:
        frames.append((_HEADERS, _END_HEADERS, b"".join(map(_literal, trailers))))
    kind, flags, payload = frames[-1]
    frames[-1] = kind, flags if stays_open else flags | _END_STREAM, payload
    return b"".join(_frame(kind, flags, 1, payload) for kind, flags, payload in frames)


@dataclass(frozen=True)
class Received:
    """What an application sees of a request: the bytes of its body, and whether there were trailers."""

    body: bytes
    trailers: bool


class Application:
    """Answers 200 to every request by HTTP/2 without TLS, once it is complete."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._listening = Listening(self._serve)

    @property
    def address(self) -> Listener:
        return self._listening.address

    @property
    def received(self) -> list[Received]:
        with self._lock:
            return list(self._received)

    def clear(self) -> None:
        with self._lock:
            self._received.clear()

    def close(self) -> None:
        self._listening.close()

    def _serve(self, connection: socket.socket) -> None:
        if _exactly(connection, len(_PREFACE)) != _PREFACE:
            return
        connection.sendall(_frame(_SETTINGS, 0, 0, b""))
        heads: dict[int, int] = {}
        bodies: dict[int, bytes] = {}
        while True:
            kind, flags, stream, payload = _read(connection)
            if kind in (_SETTINGS, _PING):
                if not flags & _ACK:
                    answer = payload if kind == _PING else b""
                    connection.sendall(_frame(kind, _ACK, 0, answer))
                continue
            if kind == _HEADERS:
                heads[stream] = heads.get(stream, 0) + 1
            elif kind == _DATA:
                bodies[stream] = bodies.get(stream, b"") + payload
            if kind in (_HEADERS, _DATA) and flags & _END_STREAM:
                received = Received(bodies.pop(stream, b""), trailers=heads.pop(stream) > 1)
                with self._lock:
                    self._received.append(received)
                head = _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _STATUS_200)
                connection.sendall(head)


def _literal(header: tuple[str, str]) -> bytes:
    # RFC 7541 section 6.2.2: literal without indexing, new name, no Huffman coding.
    name, value = header[0].encode(), header[1].encode()
    assert len(name) < 127
    assert len(value) < 127, "longer strings need a continued length"
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def _read(connection: socket.socket) -> tuple[int, int, int, bytes]:
    head = _exactly(connection, 9)
    payload = _exactly(connection, int.from_bytes(head[:3], "big"))
    return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
