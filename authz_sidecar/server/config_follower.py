"""Keeps one worker on the configuration that is wanted, and says where it does not take it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.server.control_channel import ChannelClosedError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.server.control_channel import ControlChannel
    from authz_sidecar.server.target_config import ConfigGeneration, TargetConfig
    from authz_sidecar.server.worker_timeouts import WorkerTimeouts


class ConfigFollower:
    """`generation` is the one that the worker runs, by its own word; 0 before the first."""

    def __init__(
        self,
        line: ControlChannel,
        wanted: TargetConfig,
        *,
        timeouts: WorkerTimeouts,
        on_change: Callable[[], None],
    ) -> None:
        self.generation = 0
        self.fault = ""
        """Why the last attempt failed; empty after one that did not."""
        self._line = line
        self._wanted = wanted
        self._timeouts = timeouts
        self._on_change = on_change

    def heard(self, generation: int) -> None:
        """The worker says which generation it runs."""
        if generation != self.generation:
            self.generation = generation
            self._on_change()

    async def catch_up(self, *, seconds: float) -> None:
        """Return when the worker runs what is wanted at that moment. Raises `WorkerError` when it
        refuses, `ChannelClosedError` when it does not answer."""
        while (wanted := self._wanted.current).generation != self.generation:
            await self._load(wanted, seconds=seconds)

    async def run(self) -> None:
        """Have the worker take every configuration that becomes wanted, and try again where it does
        not."""
        while True:
            wanted = await self._wanted.wait_for_other_than(self.generation)
            try:
                await self._load(wanted, seconds=self._timeouts.reload_seconds)
            except (ChannelClosedError, WorkerError) as error:
                self.fault = f"generation {wanted.generation} was not taken: {error}"
                self._on_change()
                await asyncio.sleep(self._timeouts.heartbeat_seconds)
            else:
                self.fault = ""

    async def _load(self, wanted: ConfigGeneration, *, seconds: float) -> None:
        answer = await self._line.call(
            "load", seconds=seconds, argument=wanted.generation, config=wanted.config
        )
        if "failed" in answer:
            raise WorkerError(answer["failed"])
        self.heard(answer["generation"])
