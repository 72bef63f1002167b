"""Patience with somebody who does not answer: they are asked ever more seldom, and the log hears
once that they are away and once that they are back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

FIRST_SECONDS = 1.0
MAX_SECONDS = 15.0
_SHORTEST_PAUSE_SECONDS = 0.1


class BackOff:
    """`who` is what the log calls them. `reason` is why they could not be reached last, in words for
    the log; empty while they answer."""

    def __init__(self, who: str, *, clock: Callable[[], float]) -> None:
        self._who = who
        self._clock = clock
        self._seconds = FIRST_SECONDS
        self._ask_again_at = 0.0
        self.reason = ""

    @property
    def is_backing_off(self) -> bool:
        """Whether it is too early to ask again."""
        return self._clock() < self._ask_again_at

    async def pause(self) -> None:
        """Until they may be asked again."""
        await asyncio.sleep(max(_SHORTEST_PAUSE_SECONDS, self._ask_again_at - self._clock()))

    def failed(self, reason: str) -> None:
        if not self.reason:
            _log.warning("%s is out of reach, trying on: %s", self._who, reason)
        self.reason = reason
        self._ask_again_at = self._clock() + self._seconds
        self._seconds = min(self._seconds * 2, MAX_SECONDS)

    def succeeded(self) -> None:
        if self.reason:
            _log.info("%s answers again", self._who)
        self.reason = ""
        self._ask_again_at = 0.0
        self._seconds = FIRST_SECONDS
