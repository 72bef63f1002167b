"""The monitor of the session store: logs an outage at once, then once a minute, and its end.

Decides how often a line is logged; the probe is passed in.
"""

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
    """Probes the session store, so that an outage is logged even without requests.

    - `check_ready`: raises `StoreUnavailable` when the store does not answer.
    - `on_error`: called for each failed probe.
    - `clock`: a monotonic time in seconds.
    """

    check_ready: Callable[[], Awaitable[None]]
    on_error: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    _down_since: float | None = None
    _logged_at: float = 0.0
    _tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start probing in the background. A second call does nothing."""
        if self._task is None:
            self._task = self._tasks.supervise(self._run, name="store watch")

    async def aclose(self) -> None:
        """Stop probing."""
        await self._tasks.aclose()

    async def _run(self) -> None:
        while True:
            await self.probe()
            is_down = self._down_since is not None
            await asyncio.sleep(DOWN_PROBE_INTERVAL_SECONDS if is_down else PROBE_INTERVAL_SECONDS)

    async def probe(self) -> None:
        """Probe the store once, and log a change."""
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
