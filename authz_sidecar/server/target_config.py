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
class ConfigGeneration:
    """`config` is as `config.transfer` writes it; `since` is the monotonic clock in seconds."""

    generation: int
    config: bytes
    since: float


@dataclass(slots=True, kw_only=True)
class TargetConfig:
    """The newest configuration that was judged to be usable."""

    current: ConfigGeneration
    clock: Callable[[], float] = time.monotonic
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def first(cls, config: bytes) -> TargetConfig:
        now = ConfigGeneration(generation=1, config=config, since=time.monotonic())
        return cls(current=now)

    def replace(self, *, generation: int, config: bytes) -> None:
        """Want `config` from now on, and wake up every worker's `wait_for_other_than`."""
        self.current = ConfigGeneration(generation=generation, config=config, since=self.clock())
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for_other_than(self, generation: int) -> ConfigGeneration:
        """Return the wanted configuration as soon as it is not of this generation."""
        while self.current.generation == generation:
            await self._changed.wait()
        return self.current

    def is_overdue(self, generation: int, *, seconds: float) -> bool:
        """Whether something else than this generation has been wanted for longer than `seconds`."""
        return self.current.generation != generation and self.clock() - self.current.since > seconds
