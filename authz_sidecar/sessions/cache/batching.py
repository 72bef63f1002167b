"""Reads that are asked for at the same moment go to the store together."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import StoreUnavailable

if TYPE_CHECKING:
    from authz_sidecar.sessions.store import StoreReader

# One answer of the store must not keep others waiting for long.
_MAX_KEYS_PER_READ = 512

MAX_CONCURRENT_READS = 2
"""Questions, and so connections, of one worker: one is answered while the next is on its way. More
of them would be smaller ones, and what each costs both sides hardly depends on its size."""


ResponseFuture = asyncio.Future[tuple[bytes | None, ...]]


class BatchingReader:
    """Whatever is asked for in one turn of the event loop is one question; while many are under
    way, what is asked for waits and becomes the next."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._pending: deque[tuple[tuple[str, ...], ResponseFuture]] = deque()
        self._background = BackgroundTasks()
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
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
            if not response.done():  # whoever asked may have gone
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
            # Nobody waits forever, whatever else went wrong.
            if values is None:
                for _, response in batch:
                    response.cancel()
        offset = 0
        for keys, response in batch:
            if not response.done():
                response.set_result(values[offset : offset + len(keys)])
            offset += len(keys)
