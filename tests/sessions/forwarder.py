"""A TCP link that a test can make fall silent: bytes stop, connections stay."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Forwarder:
    """Between a client and `target`. `marked` is sent by clients whose connections may be silenced
    alone: the invalidation connection says TRACKING, no other does."""

    def __init__(self, target: tuple[str, int], *, marked: bytes) -> None:
        self._target = target
        self._marked = marked
        self._passing = {True: asyncio.Event(), False: asyncio.Event()}
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.let_pass(marked=True)
        self.let_pass(marked=False)

    def silence(self, *, marked: bool) -> None:
        self._passing[marked].clear()

    def let_pass(self, *, marked: bool) -> None:
        self._passing[marked].set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = [False]
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            both = (
                self._pump(reader, there_writer, kind),
                self._pump(there_reader, writer, kind),
            )
            tasks = {asyncio.create_task(pump) for pump in both}
            self._tasks |= tasks
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks -= tasks
            there_writer.close()
        writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: list[bool]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                kind[0] = kind[0] or self._marked in data
                await self._passing[kind[0]].wait()
                writer.write(data)
                await writer.drain()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def forwarding(port: int, *, marked: bytes = b"TRACKING") -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(("127.0.0.1", port), marked=marked)
    server = await asyncio.start_server(forwarder.serve, "127.0.0.1", 0)
    forwarder.port = server.sockets[0].getsockname()[1]
    try:
        yield forwarder
    finally:
        server.close()
        forwarder.close()
        await asyncio.sleep(0)
