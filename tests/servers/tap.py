"""A tap on the line between a proxy and the sidecar's check listener.

Passes every question on to the real sidecar and keeps both sides of it. It can also cut the line
(`down`), hold it (`silent`) or answer in the sidecar's stead (`saying`): faults of a network and of
a broken server, which no working sidecar produces on demand.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers.listening import Listening
from tests.servers.wire import Message, Reader, connect

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.servers.sidecar import Listener


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the proxy sent, what it got; `surplus` are bytes that came after the request."""

    asked: Message
    answered: Message | None
    surplus: bytes = b""


class Tap:
    def __init__(self, sidecar: Listener) -> None:
        self._sidecar = sidecar
        self._lock = threading.Lock()
        self._questions: list[Question] = []
        self._instead: list[bytes] = []
        self._released = threading.Event()
        self._released.set()
        self._listening = Listening(self._serve)

    @property
    def address(self) -> Listener:
        return self._listening.address

    @property
    def questions(self) -> list[Question]:
        with self._lock:
            return list(self._questions)

    def first(self) -> Question:
        """The first question since `clear`; a proxy may ask again, for the challenge."""
        questions = self.questions
        assert questions, "the sidecar was not asked"
        return questions[0]

    def clear(self) -> None:
        with self._lock:
            self._questions.clear()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self._listening.pause()
        try:
            yield
        finally:
            self._listening.resume()

    @contextlib.contextmanager
    def saying(self, *answers: bytes) -> Iterator[None]:
        """Questions are answered with these bytes in turn, the last of them again and again, each
        followed by the end of the connection."""
        self._instead = list(answers)
        self._hang_up()
        try:
            yield
        finally:
            self._instead = []

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Questions are accepted and never answered."""
        self._released.clear()
        self._hang_up()
        try:
            yield
        finally:
            self._released.set()
            self._hang_up()

    def close(self) -> None:
        self._released.set()
        self._listening.close()

    def _hang_up(self) -> None:
        """End the connections that the proxy keeps, so that the next question comes on a new one."""
        self._listening.pause()
        self._listening.resume()

    def _serve(self, connection: socket.socket) -> None:
        incoming = Reader(connection)
        with contextlib.closing(connect(self._sidecar.port)) as onward:
            answers = Reader(onward)
            while (asked := incoming.request()) is not None:
                surplus = incoming.pending
                if not self._released.is_set():
                    self._keep(Question(asked=asked, answered=None, surplus=surplus))
                    self._released.wait(30)
                    return
                if self._instead:
                    self._keep(Question(asked=asked, answered=None, surplus=surplus))
                    with self._lock:
                        more = len(self._instead) > 1
                        instead = self._instead.pop(0) if more else self._instead[0]
                    connection.sendall(instead)
                    return
                onward.sendall(_bytes(asked))
                answered = answers.answer(to=asked.method)
                self._keep(Question(asked=asked, answered=answered, surplus=surplus))
                if answered is None:
                    return
                connection.sendall(_bytes(answered))

    def _keep(self, question: Question) -> None:
        with self._lock:
            self._questions.append(question)


def _bytes(message: Message) -> bytes:
    lines = "".join(
        f"{name}: {value}\r\n"
        for name, value in message.headers
        if name.lower() != "transfer-encoding"
    )
    if "transfer-encoding" in message.names:
        lines += f"Content-Length: {len(message.body)}\r\n"
    return f"{message.start}\r\n{lines}\r\n".encode("latin-1") + message.body
