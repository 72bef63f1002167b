"""The control channel between the parent and a worker: the parent asks, the worker answers each
question by its number, and says without being asked that it is alive. A socket pair that no other
process can reach."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_LENGTHS = struct.Struct("!QQ")
"""Of the message, and of the configuration that follows it."""


class LineLostError(Exception):
    """The other side is gone, or too slow to be waited for."""


class WorkerError(Exception):
    """A worker that could not be started, or could not do what it was asked to; the message is for
    the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`config` is a configuration as `config.transfer` writes it; `about` is what JSON can hold."""

    number: int
    what: str
    about: Any
    config: bytes


class Line:
    """One end of the channel. Questions are under way side by side, so that one that takes long, as
    loading a configuration does, delays no other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._lost = False

    @classmethod
    async def over(cls, end: socket.socket) -> Line:
        return cls(*await asyncio.open_unix_connection(sock=end))

    # The parent's end

    async def ask(
        self, what: str, *, seconds: float, about: Any = None, config: bytes = b""
    ) -> dict[str, Any]:
        """Return the answer to one question. Raises `LineLostError` when the channel is lost or no
        answer comes within `seconds`; a later one is dropped. Needs `listen` to run."""
        if self._lost:
            raise LineLostError("the other side is gone")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            async with asyncio.timeout(seconds):
                await self._send({"ask": what, "number": number, "about": about}, config)
                return await answer
        except TimeoutError as error:
            raise LineLostError(f"no answer within {seconds:g} s") from error
        finally:
            del self._asked[number]

    async def listen(self, heard: Callable[[dict[str, Any] | None], None]) -> None:
        """Hand out answers until the channel is lost, which raises `LineLostError`. `heard` is called
        for each message, with what the worker says of itself where it is no answer."""
        try:
            while True:
                message, _ = await self._receive()
                heard(message.get("beat"))
                answer = self._asked.get(message.get("number", 0))
                if answer is not None and not answer.done():
                    answer.set_result(message["answer"])
        finally:
            self._lost = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(LineLostError("the other side is gone"))

    # The worker's end

    async def question(self) -> Question:
        """Return the next question. Raises `LineLostError`."""
        message, config = await self._receive()
        return Question(
            number=message["number"], what=message["ask"], about=message["about"], config=config
        )

    async def answer(self, question: Question, content: dict[str, Any]) -> None:
        await self._send({"number": question.number, "answer": content})

    async def beat(self, content: dict[str, Any]) -> None:
        """Say what is true of this worker now."""
        await self._send({"beat": content})

    async def _send(self, message: dict[str, Any], config: bytes = b"") -> None:
        frame = json.dumps(message).encode()
        # In one call: messages of several tasks must not mix.
        self._writer.write(b"".join((_LENGTHS.pack(len(frame), len(config)), frame, config)))
        try:
            await self._writer.drain()
        except OSError as error:
            raise LineLostError(str(error)) from error

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        try:
            sizes = _LENGTHS.unpack(await self._reader.readexactly(_LENGTHS.size))
            frame, config = [await self._reader.readexactly(size) for size in sizes]
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LineLostError("the other side is gone") from error
        message: dict[str, Any] = json.loads(frame)
        return message, config

    def close(self) -> None:
        self._writer.close()
