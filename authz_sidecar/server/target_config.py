"""The configuration that every worker is to answer by. What a worker runs is compared with this for
as long as it lives, so that no order of events leaves one behind."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedConfig:
    """`config` is as `config.transfer` writes it; `since` is the monotonic clock in seconds."""

    generation: int
    config: bytes
    since: float


@dataclass(slots=True, kw_only=True)
class Wanted:
    """The newest configuration that was judged to be usable."""

    now: WantedConfig
    clock: Callable[[], float] = time.monotonic
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def first(cls, config: bytes) -> Wanted:
        now = WantedConfig(generation=1, config=config, since=time.monotonic())
        return cls(now=now)

    def replace(self, *, generation: int, config: bytes) -> None:
        """Want `config` from now on, and wake up every worker's `other_than`."""
        self.now = WantedConfig(generation=generation, config=config, since=self.clock())
        self._changed.set()
        self._changed = asyncio.Event()

    async def other_than(self, generation: int) -> WantedConfig:
        """Return the wanted configuration as soon as it is not of this generation."""
        while self.now.generation == generation:
            await self._changed.wait()
        return self.now

    def is_overdue(self, generation: int, *, seconds: float) -> bool:
        """Whether something else than this generation has been wanted for longer than `seconds`."""
        return self.now.generation != generation and self.clock() - self.now.since > seconds
