"""Says that something we depend on is away, once clearly and then now and again, and that it is
back. Decides how often an operator is told; what is asked, and how, is handed in."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.observe.logging import fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_WHILE_AWAY = 1.0
SECONDS_BETWEEN_LINES = 60.0


@dataclass(slots=True, kw_only=True)
class StoreWatch:
    """Looks after the session store, so that an outage is in the log though nobody asks."""

    ready: Callable[[], Awaitable[None]]
    on_error: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    _away_since: float | None = None
    _told_at: float = 0.0
    _tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = self._tasks.keep(self._run, name="store watch")

    async def aclose(self) -> None:
        await self._tasks.aclose()

    async def _run(self) -> None:
        while True:
            await self.look()
            away = self._away_since is not None
            await asyncio.sleep(SECONDS_WHILE_AWAY if away else SECONDS_BETWEEN_LOOKS)

    async def look(self) -> None:
        now = self.clock()
        try:
            await self.ready()
        except StoreUnavailable as error:
            self.on_error()
            self._away(error, now)
            return
        if self._away_since is not None:
            logger.info(
                "the session store answers again",
                extra=fields(seconds_away=round(now - self._away_since)),
            )
            self._away_since = None

    def _away(self, error: StoreUnavailable, now: float) -> None:
        first = self._away_since is None
        if first or now - self._told_at >= SECONDS_BETWEEN_LINES:
            logger.error("%s; checks are answered with 503 until it does", error)
            self._told_at = now
        if first:
            self._away_since = now
