"""The line between the parent and a worker: the parent asks, the worker answers, in turn; whoever
loses the line stops. A socket pair that no other process can reach."""

from __future__ import annotations

import asyncio
import json
import pickle
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

    from authz_sidecar.config.schema import Config

_LENGTH = struct.Struct("!Q")


class LineLostError(Exception):
    """The other side is gone, or too slow to be waited for."""


class Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def over(cls, end: socket.socket) -> Line:
        return cls(*await asyncio.open_unix_connection(sock=end))

    async def ask(
        self,
        question: str,
        *,
        seconds: float,
        config: Config | None = None,
        about: str | None = None,
    ) -> dict[str, Any]:
        """The answer to `question`, which may carry a configuration, or what it is about.

        A late answer would be taken for that to the next question: who waits in vain has lost the
        line.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(seconds):
                    await self.send({"ask": question, "about": about})
                    if config is not None:
                        await self._write(pickle.dumps(config))
                    return await self.receive()
            except TimeoutError as error:
                self.close()
                raise LineLostError(f"no answer within {seconds:g} s") from error

    async def send(self, message: dict[str, Any]) -> None:
        await self._write(json.dumps(message).encode())

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._read())
        return message

    async def receive_config(self) -> Config:
        config: Config = pickle.loads(await self._read())  # noqa: S301 - from our parent alone
        return config

    async def _write(self, frame: bytes) -> None:
        self._writer.write(_LENGTH.pack(len(frame)) + frame)
        try:
            await self._writer.drain()
        except OSError as error:
            raise LineLostError(str(error)) from error

    async def _read(self) -> bytes:
        try:
            (size,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LineLostError("the other side is gone") from error

    def close(self) -> None:
        self._writer.close()
