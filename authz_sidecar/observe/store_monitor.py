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

PROBE_INTERVAL_SECONDS = 5.0
DOWN_PROBE_INTERVAL_SECONDS = 1.0
LOG_INTERVAL_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class StoreMonitor:
    """Looks after the session store, so that an outage is in the log though nobody asks."""

    check_ready: Callable[[], Awaitable[None]]
    on_error: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    _down_since: float | None = None
    _logged_at: float = 0.0
    _tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = self._tasks.supervise(self._run, name="store watch")

    async def aclose(self) -> None:
        await self._tasks.aclose()

    async def _run(self) -> None:
        while True:
            await self.probe()
            is_down = self._down_since is not None
            await asyncio.sleep(DOWN_PROBE_INTERVAL_SECONDS if is_down else PROBE_INTERVAL_SECONDS)

    async def probe(self) -> None:
        now = self.clock()
        try:
            await self.check_ready()
        except StoreUnavailable as error:
            self.on_error()
            self._record_outage(error, now)
            return
        if self._down_since is not None:
            logger.info(
                "the session store answers again",
                extra=fields(seconds_away=round(now - self._down_since)),
            )
            self._down_since = None

    def _record_outage(self, error: StoreUnavailable, now: float) -> None:
        is_first = self._down_since is None
        if is_first or now - self._logged_at >= LOG_INTERVAL_SECONDS:
            logger.error("%s; checks are answered with 503 until it does", error)
            self._logged_at = now
        if is_first:
            self._down_since = now
