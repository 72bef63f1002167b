"""Exponential back-off for a remote service: doubles the pause between attempts, and logs once when
the service becomes unreachable and once when it answers again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

FIRST_SECONDS = 1.0
MAX_SECONDS = 15.0
_MIN_PAUSE_SECONDS = 0.1


class BackOff:
    """The back-off state of one remote service.

    `name`: the service, as log lines call it.
    `reason`: why the last attempt failed, for the log; empty while the service answers.
    """

    def __init__(self, name: str, *, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._seconds = FIRST_SECONDS
        self._next_attempt_at = 0.0
        self.reason = ""

    @property
    def is_backing_off(self) -> bool:
        """Whether the pause after the last failure has not ended yet."""
        return self._clock() < self._next_attempt_at

    async def pause(self) -> None:
        """Sleep until the next attempt is due, at least 0.1 seconds."""
        await asyncio.sleep(max(_MIN_PAUSE_SECONDS, self._next_attempt_at - self._clock()))

    def failed(self, reason: str) -> None:
        """Record a failed attempt: start the next pause, and log the first failure of a series."""
        if not self.reason:
            _log.warning("%s is out of reach, trying on: %s", self._name, reason)
        self.reason = reason
        self._next_attempt_at = self._clock() + self._seconds
        self._seconds = min(self._seconds * 2, MAX_SECONDS)

    def succeeded(self) -> None:
        """Record a successful attempt: end the back-off, and log the recovery after a failure."""
        if self.reason:
            _log.info("%s answers again", self._name)
        self.reason = ""
        self._next_attempt_at = 0.0
        self._seconds = FIRST_SECONDS
