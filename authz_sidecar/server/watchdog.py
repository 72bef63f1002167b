"""Ends a process whose event loop hangs, so that what started it starts another: nothing else in the
process could answer or be told anything any more. A worker of several has its parent for this."""

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
    """A thread that has the loop do next to nothing, again and again. Counts its own turns: while the
    whole process is stopped, or does not get the processor, neither side counts."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        turn_seconds: float = INTERVAL_SECONDS,
        max_missed: int = MAX_MISSED_INTERVALS,
    ) -> None:
        self._loop = loop
        self._turn_seconds = turn_seconds
        self._max_missed = max_missed
        self._missed = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(self._turn_seconds):
            self._missed += 1
            if self._missed > self._max_missed:
                seconds = self._max_missed * self._turn_seconds
                logger.critical("the event loop has hung for %g s, ending this process", seconds)
                faulthandler.dump_traceback()
                os._exit(EXIT_CODE)
            self._loop.call_soon_threadsafe(self._turned)

    def _turned(self) -> None:
        self._missed = 0
