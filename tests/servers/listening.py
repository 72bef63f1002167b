"""A server of raw sockets in this process: one thread accepts, one thread a connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.servers.sidecar import Listener

Serve = Callable[[socket.socket], None]


class Listening:
    """Listens from construction to `close`; `pause` refuses connections until `resume`."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._socket: socket.socket | None = None
        self._open(0)

    @property
    def address(self) -> Listener:
        return Listener("127.0.0.1", self._port)

    def pause(self) -> None:
        """Close the listening socket and every connection: clients see `connection refused`."""
        if self._socket is not None:
            # Closing alone does not wake a thread that waits in `accept`.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(20)

    def resume(self) -> None:
        self._open(self._port)

    def close(self) -> None:
        self.pause()

    def _open(self, port: int) -> None:
        listening = socket.create_server(("127.0.0.1", port), backlog=256)
        self._socket = listening
        self._port: int = listening.getsockname()[1]
        self._spawn(self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            self._spawn(self._handle, connection)

    def _handle(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError, EOFError):
                self._serve(connection)
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _spawn(self, target: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=target, args=(argument,), daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
        thread.start()
