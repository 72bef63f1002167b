"""An address that does what addresses do on bad days: bytes stop and connections stay, or new
connections lead elsewhere while those of before live on."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Target = int | str
"""A port on this machine, or the path of a socket."""


class Forwarder:
    """Between a client and `target`. `marker` is sent by clients whose connections may be silenced
    alone: the invalidation connection says TRACKING, no other does."""

    def __init__(self, target: Target, *, marker: bytes, delay: float) -> None:
        self._target = target
        self._marker = marker
        self._delay = delay
        self._gates = {True: asyncio.Event(), False: asyncio.Event()}
        self._pumps: set[asyncio.Task[None]] = set()
        self._open = 0
        self._refusing = False
        self.port = 0
        self.path = ""
        self.connections = 0
        """How many there have been."""
        self.resume(marked=True)
        self.resume(marked=False)

    @property
    def url(self) -> str:
        return f"unix://{self.path}" if self.path else f"redis://127.0.0.1:{self.port}/0"

    def pause(self, *, marked: bool) -> None:
        self._gates[marked].clear()

    def resume(self, *, marked: bool) -> None:
        self._gates[marked].set()

    def lead_to(self, target: Target) -> None:
        """New connections; those of before stay where they are."""
        self._target = target

    def refuse(self) -> None:
        """New connections; those of before stay."""
        self._refusing = True

    def accept(self) -> None:
        """New connections again."""
        self._refusing = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_marked = [False]
        self.connections += 1
        self._open += 1
        try:
            with contextlib.suppress(OSError):
                if not self._refusing:
                    await self._forward(reader, writer, is_marked)
        finally:
            writer.close()
            self._open -= 1

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: list[bool]
    ) -> None:
        target = self._target
        there_reader, there_writer = await (
            asyncio.open_unix_connection(target)
            if isinstance(target, str)
            else asyncio.open_connection("127.0.0.1", target)
        )
        both = (self._copy(reader, there_writer, kind), self._copy(there_reader, writer, kind))
        pumps = {asyncio.create_task(pump) for pump in both}
        self._pumps |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._pumps -= pumps
        there_writer.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_marked: list[bool]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                is_marked[0] = is_marked[0] or self._marker in data
                await self._gates[is_marked[0]].wait()
                await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()

    async def aclose(self) -> None:
        async with asyncio.timeout(10):
            while self._open:
                for pump in self._pumps:
                    pump.cancel()
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def forwarding(
    target: Target, *, marker: bytes = b"TRACKING", socket: bool = False, delay: float = 0.0
) -> AsyncIterator[Forwarder]:
    """On a port, or on a `socket` of the file system; with seconds of `delay` each way."""
    forwarder = Forwarder(target, marker=marker, delay=delay)
    with tempfile.TemporaryDirectory(prefix="forward-") as directory:
        if socket:
            forwarder.path = str(Path(directory) / "redis.sock")
            server: asyncio.Server = await asyncio.start_unix_server(
                forwarder.serve, forwarder.path
            )
        else:
            server = await asyncio.start_server(forwarder.serve, "127.0.0.1", 0)
            forwarder.port = server.sockets[0].getsockname()[1]
        try:
            yield forwarder
        finally:
            server.close()
            await forwarder.aclose()


@contextlib.contextmanager
def running_forwarder(target: Target) -> Iterator[Forwarder]:
    """On a port, in a thread of its own, for tests that wait."""
    started: queue.Queue[tuple[Forwarder, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        async with forwarding(target) as forwarder:
            over = asyncio.Event()
            started.put((forwarder, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    forwarder, loop, over = started.get(timeout=10)
    try:
        yield forwarder
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
