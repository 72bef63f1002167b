"""Ends a process whose event loop hangs, so that its service manager starts another one.

Used by a single worker and by the supervisor; the supervisor watches the workers of a pool.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
MAX_MISSED_INTERVALS = 30
EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""


class Watchdog:
    """A thread that schedules a callback on the event loop in each interval.

    It counts its own intervals: while the whole process is stopped or gets no processor time, it
    counts nothing.

    `interval_seconds`: between two callbacks.
    `max_missed`: missed callbacks in a row after which the process exits with `EXIT_CODE`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        max_missed: int = MAX_MISSED_INTERVALS,
    ) -> None:
        self._loop = loop
        self._interval_seconds = interval_seconds
        self._max_missed = max_missed
        self._missed = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and wait for its end."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(self._interval_seconds):
            self._missed += 1
            if self._missed > self._max_missed:
                seconds = self._max_missed * self._interval_seconds
                logger.critical("the event loop has hung for %g s, ending this process", seconds)
                faulthandler.dump_traceback()
                os._exit(EXIT_CODE)
            self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        self._missed = 0
