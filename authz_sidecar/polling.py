"""A copy in memory of data kept elsewhere, read again at a fixed interval.

Decides how long the last copy may be used, and what is logged about failures. Must not know how the
data is read or what it means.
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
    """A snapshot that `read` loads every `interval` seconds.

    `read` raises `StoreUnavailable`, or `ValueError` for data that is not valid. `current()` is
    never older than `max_age` seconds, counted from the start of its read.
    """

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
        """Whether the data was ever read, however long ago."""
        return self._snapshot is not None

    def current(self) -> T | None:
        """Return the snapshot; None when there is none that is recent enough."""
        return self._snapshot if self._clock() < self._valid_until else None

    def start(self) -> None:
        """Start reading in the background. A second call does nothing."""
        if self._task is None:
            self._task = self._tasks.supervise(self._run, name=self._name)

    async def aclose(self) -> None:
        """Stop reading."""
        await self._tasks.aclose()

    async def _run(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(self._interval)

    async def refresh(self) -> None:
        """Read once. After a failure the last snapshot is used until it is too old."""
        started = self._clock()
        try:
            async with asyncio.timeout(self._max_age):
                snapshot = await self._read()
        except TimeoutError:
            self._failed(f"it takes longer than {self._max_age:g} s to read")
        except (StoreUnavailable, ValueError) as error:
            self._failed(str(error))
        except Exception as error:
            # The next read may succeed: an unexpected error must not end the task.
            logger.exception("%s could not be read", self._name)
            self._failed(type(error).__name__)
        else:
            self._snapshot, self._valid_until = snapshot, started + self._max_age
            if self._failing:
                self._failing = False
                logger.info("%s can be read again", self._name)

    def _failed(self, reason: str) -> None:
        now = self._clock()
        if not self._failing or now - self._logged_at >= LOG_INTERVAL_SECONDS:
            remaining = self._valid_until - now
            state = (
                f"used as last read for {remaining:.0f} s more" if remaining > 0 else "unavailable"
            )
            logger.error("%s cannot be read and is %s: %s", self._name, state, reason)
            self._logged_at = now
        self._failing = True
