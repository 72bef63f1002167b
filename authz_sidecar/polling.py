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

SECONDS_BETWEEN_LINES = 60.0


class Mirror(Generic[T]):
    """`read` raises `StoreUnavailable` or, for what makes no sense, `ValueError`; it is asked `every`
    so many seconds. `now()` is never older than `max_age`, counted from when its reading began."""

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        *,
        name: str,
        every: float,
        max_age: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._name = name
        self._every = every
        self._max_age = max_age
        self._clock = clock
        self._copy: T | None = None
        self._known_until = float("-inf")
        self._failing = False
        self._told_at = float("-inf")
        self._tasks = BackgroundTasks()
        self._task: asyncio.Task[None] | None = None

    @property
    def was_read(self) -> bool:
        """Whether it ever was, however long ago."""
        return self._copy is not None

    def now(self) -> T | None:
        """None where nobody knows."""
        return self._copy if self._clock() < self._known_until else None

    def start(self) -> None:
        if self._task is None:
            self._task = self._tasks.keep(self._run, name=self._name)

    async def aclose(self) -> None:
        await self._tasks.aclose()

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._every)

    async def look(self) -> None:
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
            self._copy, self._known_until = copy, began + self._max_age
            if self._failing:
                self._failing = False
                logger.info("%s can be read again", self._name)

    def _failed(self, reason: str) -> None:
        now = self._clock()
        if not self._failing or now - self._told_at >= SECONDS_BETWEEN_LINES:
            left = self._known_until - now
            known = f"as known for {left:.0f} s more" if left > 0 else "not known until it can"
            logger.error("%s cannot be read and is %s: %s", self._name, known, reason)
            self._told_at = now
        self._failing = True
