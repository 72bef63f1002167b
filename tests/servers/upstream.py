"""The application behind the proxy: records exactly what it received, and answers as it is told.

Without instructions it answers 200 and a small page that shows the headers. A WebSocket upgrade
is accepted, after which every byte comes back.
"""

from __future__ import annotations

import base64
import hashlib
import html
import threading
from typing import TYPE_CHECKING

from tests.servers.listening import Listening
from tests.servers.wire import Message, Reader, answer_bytes

if TYPE_CHECKING:
    import socket

    from tests.servers.sidecar import Listener


class Upstream:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[Message] = []
        self._answers: dict[str, bytes] = {}
        self._listening = Listening(self._serve)

    @property
    def address(self) -> Listener:
        return self._listening.address

    @property
    def received(self) -> list[Message]:
        with self._lock:
            return list(self._received)

    def only(self) -> Message:
        """The one request that arrived since `clear`."""
        received = self.received
        assert len(received) == 1, [message.start for message in received]
        return received[0]

    def clear(self) -> None:
        with self._lock:
            self._received.clear()
            self._answers.clear()

    def answer(self, target: str, raw: bytes) -> None:
        """Answer requests for exactly this target with these bytes, until `clear`."""
        with self._lock:
            self._answers[target] = raw

    def close(self) -> None:
        self._listening.close()

    def _serve(self, connection: socket.socket) -> None:
        reader = Reader(connection)
        while (request := reader.request()) is not None:
            with self._lock:
                self._received.append(request)
                answer = self._answers.get(request.target)
            if answer is not None:
                connection.sendall(answer)
            elif "websocket" in (value.lower() for value in request.all("upgrade")):
                connection.sendall(_switching(request))
                connection.sendall(reader.pending)
                while data := connection.recv(65536):
                    connection.sendall(data)
                return
            else:
                page = answer_bytes("200 OK", [("Content-Type", "text/html")], _page(request))
                head, _, body = page.partition(b"\r\n\r\n")
                connection.sendall(head + b"\r\n\r\n" + (b"" if request.method == "HEAD" else body))


def _switching(request: Message) -> bytes:
    # RFC 6455 section 4.2.2: proxies check the key's answer too.
    key = (request.one("sec-websocket-key") or "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def _page(request: Message) -> bytes:
    lines = "".join(f"{html.escape(n)}: {html.escape(v)}\n" for n, v in request.headers)
    return (
        '<!doctype html><html lang="en"><title>The application</title>'
        f"<h1>The application</h1><p id=target>{html.escape(request.start)}</p><pre>{lines}</pre>"
    ).encode()
