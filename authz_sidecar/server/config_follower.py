"""Keeps one worker process on the target configuration.

Decides when a configuration is sent again, and what is reported as a fault. Must not know how the
worker builds an application from it.
"""

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
    """The configuration of one worker process.

    `generation`: the generation that the worker reported last; 0 before its first report.
    `fault`: why the last attempt to load the target configuration failed; empty after a success.
    `on_change`: called when `generation` changes and when a load fails.
    """

    def __init__(
        self,
        channel: ControlChannel,
        target: TargetConfig,
        *,
        timeouts: WorkerTimeouts,
        on_change: Callable[[], None],
    ) -> None:
        self.generation = 0
        self.fault = ""
        self._channel = channel
        self._target = target
        self._timeouts = timeouts
        self._on_change = on_change

    def record_generation(self, generation: int) -> None:
        """Record the generation that the worker reports."""
        if generation != self.generation:
            self.generation = generation
            self._on_change()

    async def catch_up(self, *, seconds: float) -> None:
        """Load the target configuration until the worker runs it; each attempt may take `seconds`.

        Raises `WorkerError` when the worker refuses it, `ChannelClosedError` when the worker does
        not respond.
        """
        while (target := self._target.current).generation != self.generation:
            await self._load(target, seconds=seconds)

    async def run(self) -> None:
        """Load every new target configuration, and retry after a failure; never returns."""
        while True:
            target = await self._target.wait_for_other_than(self.generation)
            try:
                await self._load(target, seconds=self._timeouts.reload_seconds)
            except (ChannelClosedError, WorkerError) as error:
                self.fault = f"generation {target.generation} could not be loaded: {error}"
                self._on_change()
                await asyncio.sleep(self._timeouts.heartbeat_seconds)
            else:
                self.fault = ""

    async def _load(self, target: ConfigGeneration, *, seconds: float) -> None:
        response = await self._channel.call(
            "load", seconds=seconds, argument=target.generation, config=target.config
        )
        if "failed" in response:
            raise WorkerError(response["failed"])
        self.record_generation(response["generation"])
