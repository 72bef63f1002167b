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


class ChannelClosedError(Exception):
    """The other side is gone, or too slow to be waited for."""


class WorkerError(Exception):
    """A worker that could not be started, or could not do what it was asked to; the message is for
    the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`config` is a configuration as `config.transfer` writes it; `argument` is what JSON can
    hold."""

    number: int
    name: str
    argument: Any
    config: bytes


class ControlChannel:
    """One end of the channel. Questions are under way side by side, so that one that takes long, as
    loading a configuration does, delays no other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._lost = False

    @classmethod
    async def from_socket(cls, endpoint: socket.socket) -> ControlChannel:
        return cls(*await asyncio.open_unix_connection(sock=endpoint))

    # The parent's end

    async def call(
        self, command: str, *, seconds: float, argument: Any = None, config: bytes = b""
    ) -> dict[str, Any]:
        """Return the answer to one question. Raises `ChannelClosedError` when the channel is lost
        or no answer comes within `seconds`; a later one is dropped. Needs `listen` to run."""
        if self._lost:
            raise ChannelClosedError("the other side is gone")
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            async with asyncio.timeout(seconds):
                await self._send({"ask": command, "number": number, "about": argument}, config)
                return await answer
        except TimeoutError as error:
            raise ChannelClosedError(f"no answer within {seconds:g} s") from error
        finally:
            del self._pending[number]

    async def listen(self, on_message: Callable[[dict[str, Any] | None], None]) -> None:
        """Hand out answers until the channel is lost, which raises `ChannelClosedError`.
        `on_message` is called for each message, with what the worker says of itself where it is no
        answer."""
        try:
            while True:
                message, _ = await self._receive()
                on_message(message.get("beat"))
                answer = self._pending.get(message.get("number", 0))
                if answer is not None and not answer.done():
                    answer.set_result(message["answer"])
        finally:
            self._lost = True
            for answer in self._pending.values():
                if not answer.done():
                    answer.set_exception(ChannelClosedError("the other side is gone"))

    # The worker's end

    async def receive_command(self) -> Command:
        """Return the next question. Raises `ChannelClosedError`."""
        message, config = await self._receive()
        return Command(
            number=message["number"], name=message["ask"], argument=message["about"], config=config
        )

    async def respond(self, question: Command, content: dict[str, Any]) -> None:
        await self._send({"number": question.number, "answer": content})

    async def send_heartbeat(self, content: dict[str, Any]) -> None:
        """Say what is true of this worker now."""
        await self._send({"beat": content})

    async def _send(self, message: dict[str, Any], config: bytes = b"") -> None:
        frame = json.dumps(message).encode()
        # In one call: messages of several tasks must not mix.
        self._writer.write(b"".join((_LENGTHS.pack(len(frame), len(config)), frame, config)))
        try:
            await self._writer.drain()
        except OSError as error:
            raise ChannelClosedError(str(error)) from error

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        try:
            sizes = _LENGTHS.unpack(await self._reader.readexactly(_LENGTHS.size))
            frame, config = [await self._reader.readexactly(size) for size in sizes]
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ChannelClosedError("the other side is gone") from error
        message: dict[str, Any] = json.loads(frame)
        return message, config

    def close(self) -> None:
        self._writer.close()
