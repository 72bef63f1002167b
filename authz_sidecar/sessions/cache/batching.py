"""Batching of concurrent reads into few commands to the store.

Decides what is read together; must not know what the keys mean.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import StoreUnavailable

if TYPE_CHECKING:
    from authz_sidecar.sessions.store import StoreReader

# One large response must not delay the others for long.
_MAX_KEYS_PER_READ = 512

MAX_CONCURRENT_READS = 2
"""Reads in flight, and so connections, of one worker: one is being answered while the next one is
sent. More of them would be smaller, and the cost of a read hardly depends on its size."""


ResponseFuture = asyncio.Future[tuple[bytes | None, ...]]


class BatchingReader:
    """A `StoreReader` that joins all reads of one turn of the event loop into one. Reads that
    arrive while `MAX_CONCURRENT_READS` are in flight wait and become the next one."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._pending: deque[tuple[tuple[str, ...], ResponseFuture]] = deque()
        self._background = BackgroundTasks()
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        """The values of the keys, in their order; None for a key that does not exist. Raises
        `StoreUnavailable`."""
        loop = asyncio.get_running_loop()
        response: ResponseFuture = loop.create_future()
        if not self._pending:
            loop.call_soon(self._start_reads)
        self._pending.append((keys, response))
        return await response

    def _start_reads(self) -> None:
        while self._pending and len(self._tasks) < MAX_CONCURRENT_READS:
            task = self._background.start(
                self._read_batch(self._next_batch()), name="session reads"
            )
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start_reads()

    def _next_batch(self) -> list[tuple[tuple[str, ...], ResponseFuture]]:
        batch, count = [], 0
        while self._pending and count < _MAX_KEYS_PER_READ:
            keys, response = self._pending.popleft()
            if not response.done():  # the caller may have been cancelled
                batch.append((keys, response))
                count += len(keys)
        return batch

    async def _read_batch(self, batch: list[tuple[tuple[str, ...], ResponseFuture]]) -> None:
        values: tuple[bytes | None, ...] | None = None
        try:
            values = await self._store.read(*(key for keys, _ in batch for key in keys))
        except StoreUnavailable as error:
            for _, response in batch:
                if not response.done():
                    response.set_exception(StoreUnavailable(str(error)))
            return
        finally:
            # Any other error: no caller must wait forever.
            if values is None:
                for _, response in batch:
                    response.cancel()
        offset = 0
        for keys, response in batch:
            if not response.done():
                response.set_result(values[offset : offset + len(keys)])
            offset += len(keys)
