"""Reads that are asked for at the same moment go to the store together."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import StoreUnavailable

if TYPE_CHECKING:
    from authz_sidecar.sessions.store import Reads

# One answer of the store must not keep others waiting for long.
_MOST_KEYS = 512

MOST_UNDER_WAY = 2
"""Questions, and so connections, of one worker: one is answered while the next is on its way. More
of them would be smaller ones, and what each costs both sides hardly depends on its size."""


Answer = asyncio.Future[tuple[bytes | None, ...]]


class GatheredReads:
    """Whatever is asked for in one turn of the event loop is one question; while many are under
    way, what is asked for waits and becomes the next."""

    def __init__(self, store: Reads) -> None:
        self._store = store
        self._asked: deque[tuple[tuple[str, ...], Answer]] = deque()
        self._background = BackgroundTasks()
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if not self._asked:
            loop.call_soon(self._send)
        self._asked.append((keys, answer))
        return await answer

    def _send(self) -> None:
        while self._asked and len(self._tasks) < MOST_UNDER_WAY:
            task = self._background.start(self._ask(self._next()), name="session reads")
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._send()

    def _next(self) -> list[tuple[tuple[str, ...], Answer]]:
        asked, count = [], 0
        while self._asked and count < _MOST_KEYS:
            keys, answer = self._asked.popleft()
            if not answer.done():  # whoever asked may have gone
                asked.append((keys, answer))
                count += len(keys)
        return asked

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
