"""A worker process as the supervisor sees it: whether it runs, hangs or has lost its channel.

Decides when a process is killed: when its control channel is lost or its heartbeats stop. Must not
know what the process serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.observe.logging import fields
from authz_sidecar.server.heartbeat import Heartbeat

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable

    from authz_sidecar.server.control_channel import ControlChannel
    from authz_sidecar.server.worker_timeouts import WorkerTimeouts

logger = logging.getLogger(__name__)


class WatchedProcess:
    """A process at the other end of a control channel.

    `on_heartbeat`: called with the content of each heartbeat.
    `on_end`: called when the process has ended.
    """

    def __init__(
        self,
        process: Process,
        channel: ControlChannel,
        *,
        timeouts: WorkerTimeouts,
        on_heartbeat: Callable[[dict[str, Any]], None],
        on_end: Callable[[], None],
    ) -> None:
        self.hung = False
        self.ended = asyncio.Event()
        self._process = process
        self._channel = channel
        self._timeouts = timeouts
        self._on_beat = on_heartbeat
        self._on_end = on_end
        self._heartbeat = Heartbeat(
            max_missed=timeouts.max_missed_heartbeats, late_after=timeouts.late_heartbeats
        )
        self._tasks = BackgroundTasks()
        self._tasks.supervise(self._await_exit, name="exit of a worker")
        self._tasks.start(self._listen(), name="control channel")
        self._tasks.supervise(self._watch_heartbeat, name="heartbeat of a worker")

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.returncode is None

    @property
    def is_silent(self) -> bool:
        """Whether its last heartbeats are missing."""
        return self._heartbeat.is_late

    async def wait_for_end(self, *, seconds: float) -> str:
        """Return how the process ended, or an empty text when it still runs after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
                return f"it ended with exit code {self._process.returncode}"
        return ""

    async def discard(self) -> None:
        """Kill the process, wait for its end and close the channel."""
        self.kill()
        await self.ended.wait()
        await self._tasks.aclose()
        self._channel.close()

    def kill(self) -> None:
        """Kill the process if it is running."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _await_exit(self) -> None:
        await self._process.wait()
        self.ended.set()
        self._on_end()

    async def _listen(self) -> None:
        try:
            await self._channel.listen(self._on_message)
        except Exception as error:  # noqa: BLE001 - whatever it is, no command reaches the process
            if not await self.wait_for_end(seconds=self._timeouts.exit_seconds):
                self._kill(f"the control channel to a worker is lost, killing it: {error}")

    def _on_message(self, heartbeat: dict[str, Any] | None) -> None:
        self._heartbeat.record_message()
        if heartbeat is not None:
            self._on_beat(heartbeat)

    async def _watch_heartbeat(self) -> None:
        while not self._heartbeat.is_hung:
            await asyncio.sleep(self._timeouts.heartbeat_seconds)
            self._heartbeat.record_interval()
        self.hung = True
        self._kill("a worker hangs, killing it")

    def _kill(self, reason: str) -> None:
        logger.error("%s", reason, extra=fields(pid=self._process.pid))
        self.kill()
