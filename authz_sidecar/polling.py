"""A copy in memory of something kept elsewhere, read again and again.

Decides for how long what was read last may be believed, and what the operator hears of it. How it is
read, and what it means, is handed in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOG_INTERVAL_SECONDS = 60.0


class PolledSnapshot(Generic[T]):
    """`read` raises `StoreUnavailable` or, for what makes no sense, `ValueError`; it is asked
    `interval` so many seconds. `current()` is never older than `max_age`, counted from when its
    reading began."""

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        *,
        name: str,
        interval: float,
        max_age: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._name = name
        self._interval = interval
        self._max_age = max_age
        self._clock = clock
        self._snapshot: T | None = None
        self._valid_until = float("-inf")
        self._failing = False
        self._logged_at = float("-inf")
        self._tasks = BackgroundTasks()
        self._task: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        """Whether it ever was, however long ago."""
        return self._snapshot is not None

    def current(self) -> T | None:
        """None where nobody knows."""
        return self._snapshot if self._clock() < self._valid_until else None

    def start(self) -> None:
        if self._task is None:
            self._task = self._tasks.supervise(self._run, name=self._name)

    async def aclose(self) -> None:
        await self._tasks.aclose()

    async def _run(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(self._interval)

    async def refresh(self) -> None:
        """Read once; what could be read before stays believed for its time."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._max_age):
                copy = await self._read()
        except TimeoutError:
            self._failed(f"it takes longer than {self._max_age:g} s to read")
        except (StoreUnavailable, ValueError) as error:
            self._failed(str(error))
        except Exception as error:
            # Whatever this was, the next reading may succeed; without one nobody would ever know.
            logger.exception("%s could not be read", self._name)
            self._failed(type(error).__name__)
        else:
            self._snapshot, self._valid_until = copy, began + self._max_age
            if self._failing:
                self._failing = False
                logger.info("%s can be read again", self._name)

    def _failed(self, reason: str) -> None:
        now = self._clock()
        if not self._failing or now - self._logged_at >= LOG_INTERVAL_SECONDS:
            left = self._valid_until - now
            known = f"as known for {left:.0f} s more" if left > 0 else "not known until it can"
            logger.error("%s cannot be read and is %s: %s", self._name, known, reason)
            self._logged_at = now
        self._failing = True
