"""The control channel between the supervisor and a worker process, over a socket pair.

The supervisor sends numbered commands and the worker responds to each by its number; the worker
also sends heartbeats. No other process can reach the socket pair. Must not know what the commands
do.
"""

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
"""The lengths in bytes of the JSON message and of the configuration that follows it."""


class ChannelClosedError(Exception):
    """The other side is gone, or did not respond in time."""


class WorkerError(Exception):
    """A worker could not be started or could not run a command; the message is for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that a worker received.

    `argument`: a JSON value.
    `config`: a configuration in the format of `config.transfer`; empty where the command has none.
    """

    number: int
    name: str
    argument: Any
    config: bytes


class ControlChannel:
    """One end of the channel.

    Commands run concurrently, so that a slow one (loading a configuration) delays no other.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._lost = False

    @classmethod
    async def from_socket(cls, endpoint: socket.socket) -> ControlChannel:
        """Return the channel over one end of a socket pair."""
        return cls(*await asyncio.open_unix_connection(sock=endpoint))

    # The supervisor's end

    async def call(
        self, command: str, *, seconds: float, argument: Any = None, config: bytes = b""
    ) -> dict[str, Any]:
        """Send a command and return the response to it. Needs `listen` to run.

        Raises `ChannelClosedError` when the channel is lost or no response arrives within
        `seconds`; a later response is discarded.
        """
        if self._lost:
            raise ChannelClosedError("the other side is gone")
        number = next(self._numbers)
        response: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[number] = response
        try:
            async with asyncio.timeout(seconds):
                await self._send({"ask": command, "number": number, "about": argument}, config)
                return await response
        except TimeoutError as error:
            raise ChannelClosedError(f"no answer within {seconds:g} s") from error
        finally:
            del self._pending[number]

    async def listen(self, on_message: Callable[[dict[str, Any] | None], None]) -> None:
        """Dispatch responses to their callers until the channel is lost.

        `on_message` is called for each message, with the content of a heartbeat or with None for a
        response. Raises `ChannelClosedError` when the channel is lost.
        """
        try:
            while True:
                message, _ = await self._receive()
                on_message(message.get("beat"))
                response = self._pending.get(message.get("number", 0))
                if response is not None and not response.done():
                    response.set_result(message["answer"])
        finally:
            self._lost = True
            for response in self._pending.values():
                if not response.done():
                    response.set_exception(ChannelClosedError("the other side is gone"))

    # The worker's end

    async def receive_command(self) -> Command:
        """Return the next command. Raises `ChannelClosedError` when the channel is lost."""
        message, config = await self._receive()
        return Command(
            number=message["number"], name=message["ask"], argument=message["about"], config=config
        )

    async def respond(self, command: Command, content: dict[str, Any]) -> None:
        """Send the response to a command. Raises `ChannelClosedError` when the channel is lost."""
        await self._send({"number": command.number, "answer": content})

    async def send_heartbeat(self, content: dict[str, Any]) -> None:
        """Send a heartbeat with the state of this worker.

        Raises `ChannelClosedError` when the channel is lost.
        """
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
        """Close this end of the channel."""
        self._writer.close()
