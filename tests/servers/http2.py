"""As much of HTTP/2 as one request needs whose pseudo-headers and headers disagree, which no
library sends (RFC 9113, RFC 7541)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.servers.wire import connect

if TYPE_CHECKING:
    import socket

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1


def send(port: int, *, server_name: str, headers: tuple[tuple[str, str], ...]) -> None:
    """One request without a body; returns when its answer, or its refusal, is complete."""
    block = b"".join(_literal(name) for name in headers)
    with contextlib.closing(connect(port, server_name=server_name, protocol="h2")) as connection:
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_STREAM | _END_HEADERS, 1, block)
        )
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
                ):
                    return


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
