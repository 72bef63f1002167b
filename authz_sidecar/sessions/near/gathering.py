"""Reads that are asked for at the same moment go to the store together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.errors import StoreUnavailable

if TYPE_CHECKING:
    from authz_sidecar.sessions.store import Reads

# One answer of the store must not keep others waiting for long.
_MOST_KEYS = 512


Answer = asyncio.Future[tuple[bytes | None, ...]]


class GatheredReads:
    """Whatever is asked for in one turn of the event loop is one question."""

    def __init__(self, store: Reads) -> None:
        self._store = store
        self._asked: list[tuple[tuple[str, ...], Answer]] = []
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if not self._asked:
            loop.call_soon(self._send)
        self._asked.append((keys, answer))
        self._count += len(keys)
        if self._count >= _MOST_KEYS:
            self._send()
        return await answer

    def _send(self) -> None:
        if self._asked:
            task = asyncio.get_running_loop().create_task(self._ask(self._asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._asked, self._count = [], 0

    async def _ask(self, asked: list[tuple[tuple[str, ...], Answer]]) -> None:
        values: tuple[bytes | None, ...] | None = None
        try:
            values = await self._store.read(*(key for keys, _ in asked for key in keys))
        except StoreUnavailable as error:
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(StoreUnavailable(str(error)))
            return
        finally:
            # Nobody waits forever, whatever else went wrong.
            if values is None:
                for _, answer in asked:
                    answer.cancel()
        at = 0
        for keys, answer in asked:
            if not answer.done():
                answer.set_result(values[at : at + len(keys)])
            at += len(keys)
