"""The line between the parent and a worker: one JSON object each way, in turn. The parent asks,
the worker answers; whoever loses the line stops."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

LINE_LIMIT = 16 * 1024 * 1024


class LineLostError(Exception):
    """The other side is gone, or said what no side ever says."""


class Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def over(cls, end: socket.socket) -> Line:
        return cls(*await asyncio.open_unix_connection(sock=end, limit=LINE_LIMIT))

    async def send(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        try:
            await self._writer.drain()
        except OSError as error:
            raise LineLostError(str(error)) from error

    async def receive(self) -> dict[str, Any]:
        try:
            line = await self._reader.readline()
            message = json.loads(line)
        except (OSError, ValueError) as error:
            raise LineLostError(str(error)) from error
        if not isinstance(message, dict):
            raise LineLostError("not an object")
        return message

    async def ask(self, question: str, *, seconds: float) -> dict[str, Any]:
        """The answer to `question`; a late answer would be taken for the next one's, so that
        whoever waits in vain has lost the line."""
        async with self._turn:
            await self.send({"ask": question})
            try:
                async with asyncio.timeout(seconds):
                    return await self.receive()
            except TimeoutError as error:
                self.close()
                raise LineLostError(f"no answer within {seconds:g} s") from error

    def close(self) -> None:
        self._writer.close()
