"""The target configuration: the one that every worker has to serve.

Each worker is compared with it for as long as it lives, so that no order of events leaves one
behind.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigGeneration:
    """One generation of the configuration.

    `config`: in the format of `config.transfer`.
    `since`: when it became the target, in seconds of the monotonic clock.
    """

    generation: int
    config: bytes
    since: float


@dataclass(slots=True, kw_only=True)
class TargetConfig:
    """The newest configuration that was accepted."""

    current: ConfigGeneration
    clock: Callable[[], float] = time.monotonic
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def initial(cls, config: bytes) -> TargetConfig:
        """Return the target of a server that starts: generation 1."""
        generation = ConfigGeneration(generation=1, config=config, since=time.monotonic())
        return cls(current=generation)

    def replace(self, *, generation: int, config: bytes) -> None:
        """Make `config` the target, and wake every `wait_for_other_than`."""
        self.current = ConfigGeneration(generation=generation, config=config, since=self.clock())
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for_other_than(self, generation: int) -> ConfigGeneration:
        """Return the target as soon as its generation differs from this one."""
        while self.current.generation == generation:
            await self._changed.wait()
        return self.current

    def is_overdue(self, generation: int, *, seconds: float) -> bool:
        """Whether another generation has been the target for more than `seconds`."""
        return self.current.generation != generation and self.clock() - self.current.since > seconds
