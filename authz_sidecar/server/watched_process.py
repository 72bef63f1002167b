"""A process at the other end of a control channel: notices when it ends, when the channel is lost and
when it gives no more signs of life, and kills it where it would stay without being of use."""

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
    """`on_beat` hears what the process says of itself, `on_end` that it is gone."""

    def __init__(
        self,
        process: Process,
        line: ControlChannel,
        *,
        timeouts: WorkerTimeouts,
        on_beat: Callable[[dict[str, Any]], None],
        on_end: Callable[[], None],
    ) -> None:
        self.hung = False
        self.ended = asyncio.Event()
        self._process = process
        self._line = line
        self._timeouts = timeouts
        self._on_beat = on_beat
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
        return self._process.returncode is None

    @property
    def is_silent(self) -> bool:
        """Whether it has not been heard of for some beats."""
        return self._heartbeat.is_late

    async def end(self, *, seconds: float) -> str:
        """How it ended, as soon as it has; empty when that takes longer than `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
                return f"it ended with exit code {self._process.returncode}"
        return ""

    async def discard(self) -> None:
        """End it at once, and all that watches it."""
        self.kill()
        await self.ended.wait()
        await self._tasks.aclose()
        self._line.close()

    def kill(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _await_exit(self) -> None:
        await self._process.wait()
        self.ended.set()
        self._on_end()

    async def _listen(self) -> None:
        try:
            await self._line.listen(self._heard)
        except Exception as error:  # noqa: BLE001 - whatever it is, the process cannot be told anything
            if not await self.end(seconds=self._timeouts.exit_seconds):
                self._kill(f"the control channel to a worker is lost, killing it: {error}")

    def _heard(self, beat: dict[str, Any] | None) -> None:
        self._heartbeat.record_message()
        if beat is not None:
            self._on_beat(beat)

    async def _watch_heartbeat(self) -> None:
        while not self._heartbeat.is_hung:
            await asyncio.sleep(self._timeouts.heartbeat_seconds)
            self._heartbeat.record_interval()
        self.hung = True
        self._kill("a worker hangs, killing it")

    def _kill(self, why: str) -> None:
        logger.error("%s", why, extra=fields(pid=self._process.pid))
        self.kill()
