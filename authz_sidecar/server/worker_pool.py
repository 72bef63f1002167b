"""Several workers on the same sockets: one monitor for each, what they report added up, and the
configuration that all of them are to answer by. The parent serves the operators' listener alone and
never answers a check itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.config.transfer import dumps
from authz_sidecar.observe.logging import fields
from authz_sidecar.observe.snapshot import MetricsSnapshot, from_json, merge
from authz_sidecar.server.config_follower import ConfigFollower
from authz_sidecar.server.control_channel import ChannelClosedError, ControlChannel, WorkerError
from authz_sidecar.server.low_priority_thread import in_slices
from authz_sidecar.server.slot_monitor import SlotMonitor
from authz_sidecar.server.target_config import TargetConfig
from authz_sidecar.server.watched_process import WatchedProcess
from authz_sidecar.server.worker_status import WorkerStatus, not_ready, status_of_slot
from authz_sidecar.server.worker_timeouts import WorkerTimeouts

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping

    from authz_sidecar.config.schema import Config
    from authz_sidecar.observe.logging import LogFormat
    from authz_sidecar.observe.metrics import Metrics

logger = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process, and the control channel to it. Kept on the wanted configuration for as
    long as it lives."""

    def __init__(
        self,
        process: Process,
        channel: ControlChannel,
        *,
        wanted: TargetConfig,
        timeouts: WorkerTimeouts,
        on_change: Callable[[], None],
    ) -> None:
        self.pid = process.pid
        self.serving = False
        self._channel = channel
        self._timeouts = timeouts
        self._config = ConfigFollower(channel, wanted, timeouts=timeouts, on_change=on_change)
        self._last_snapshot: MetricsSnapshot = ()
        self._tasks = BackgroundTasks()
        self.watched = WatchedProcess(
            process, channel, timeouts=timeouts, on_beat=self._on_message, on_end=on_change
        )

    @property
    def alive(self) -> bool:
        return self.watched.alive

    @property
    def generation(self) -> int:
        """That of the configuration that it answers by."""
        return self._config.generation

    @property
    def fault(self) -> str:
        """Why another worker has to take its place; empty while none has to."""
        return self._config.fault if self.alive else ""

    @property
    def answering(self) -> bool:
        """Whether it answers checks, as far as its last sign of life tells."""
        return self.alive and self.serving and not self.watched.is_silent

    async def start(self) -> None:
        """Have it answer checks, by the configuration that is wanted when it begins to. Raises
        `WorkerError`."""
        seconds = self._timeouts.start_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._config.catch_up(seconds=seconds)
                await self._channel.call("serve", seconds=seconds)
        except TimeoutError as error:
            raise WorkerError(f"it was not ready within {seconds:g} s") from error
        except ChannelClosedError as error:
            # Where it does not end by itself, it is killed within this time.
            ended = await self.watched.end(seconds=2 * self._timeouts.exit_seconds)
            raise WorkerError(ended or str(error)) from error
        self.serving = True
        self._tasks.supervise(self._config.run, name="configuration of a worker")

    async def report(self) -> dict[str, Any] | None:
        """What it says of itself; None when it does not answer."""
        with contextlib.suppress(ChannelClosedError):
            response = await self._channel.call("report", seconds=self._timeouts.report_seconds)
            self._last_snapshot = from_json(response["metrics"])
            return response
        return None

    async def explain_denial(self, request_id: str) -> dict[str, Any] | None:
        """Its explanation of a denial, if it was this worker's."""
        with contextlib.suppress(ChannelClosedError):
            seconds = self._timeouts.report_seconds
            response = await self._channel.call("denial", seconds=seconds, argument=request_id)
            explanation: dict[str, Any] | None = response["denial"]
            return explanation
        return None

    @property
    def metrics_snapshot(self) -> MetricsSnapshot:
        """What it had counted when it was last heard of."""
        return self._last_snapshot

    async def stop(self) -> None:
        """Let it finish what it began and say what it counted; kill it when that takes too long."""
        if self.answering:
            await self.report()
        if self.alive:
            with contextlib.suppress(ChannelClosedError):
                answer = await self._channel.call("stop", seconds=self._timeouts.stop_seconds)
                self._last_snapshot = from_json(answer["metrics"])
                await self.watched.end(seconds=self._timeouts.exit_seconds)
        await self.discard()

    async def discard(self) -> None:
        """End it at once."""
        await self.watched.discard()
        await self._tasks.aclose()

    def kill(self) -> None:
        self.watched.kill()

    def _on_message(self, beat: dict[str, Any]) -> None:
        self._config.heard(beat["generation"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """How a worker is started."""

    sockets: Mapping[str, tuple[socket.socket, ...]]
    log_format: LogFormat
    log_level: str
    executable: str = sys.executable
    timeouts: WorkerTimeouts = field(default_factory=WorkerTimeouts)

    async def spawn(self, *, wanted: TargetConfig, on_change: Callable[[], None]) -> WorkerProcess:
        """Start a process, which answers nothing yet. Raises whatever keeps it from being started."""
        parent_end, worker_end = socket.socketpair()
        with worker_end, contextlib.ExitStack() as unless_started:
            # A process that was started all the same ends with the channel.
            unless_started.callback(parent_end.close)
            descriptors_by_name = {
                name: _descriptors(self.sockets[name]) for name in ("check", "web")
            }
            arguments = ["--control", str(worker_end.fileno())]
            for name, descriptors in descriptors_by_name.items():
                arguments += [f"--{name}", ",".join(map(str, descriptors))]
            arguments += ["--log-format", self.log_format, "--log-level", self.log_level]
            process = await asyncio.create_subprocess_exec(
                self.executable,
                "-m",
                "authz_sidecar.server.worker_process",
                *arguments,
                pass_fds=(
                    worker_end.fileno(),
                    *descriptors_by_name["check"],
                    *descriptors_by_name["web"],
                ),
                stdin=asyncio.subprocess.DEVNULL,
            )
            parent_end.setblocking(False)
            line = await ControlChannel.from_socket(parent_end)
            unless_started.pop_all()
        return WorkerProcess(
            process, line, wanted=wanted, timeouts=self.timeouts, on_change=on_change
        )


def _descriptors(sockets: tuple[socket.socket, ...]) -> tuple[int, ...]:
    return tuple(listener.fileno() for listener in sockets)


class WorkerPool:
    """`config` is the first that is wanted: a file that has been spoilt since keeps no worker from
    being restarted. `on_generation` hears which generation every worker answers by."""

    def __init__(
        self,
        *,
        recipe: WorkerSpec,
        config: Config,
        count: int,
        metrics: Metrics,
        on_generation: Callable[[int], None] = lambda _generation: None,
    ) -> None:
        self.wanted = TargetConfig.first(dumps(config))
        self.on_generation = on_generation
        self._departed_metrics: MetricsSnapshot = ()
        self._tasks = BackgroundTasks()
        self._monitors = tuple(
            SlotMonitor(
                number,
                spawn=lambda on_change: recipe.spawn(wanted=self.wanted, on_change=on_change),
                timeouts=recipe.timeouts,
                on_change=self._changed,
                on_end=self._keep_metrics_of,
                on_restart=metrics.count_worker_restart,
            )
            for number in range(1, count + 1)
        )
        self._timeouts = recipe.timeouts
        metrics.track_workers(self._status)

    def start(self) -> None:
        """Have a worker in each slot from now on."""
        for monitor in self._monitors:
            self._tasks.supervise(monitor.run, name=f"monitor of worker {monitor.number}")

    async def wait_for_first_attempts(self) -> None:
        """Return when each worker answers checks, or has failed once."""
        await asyncio.gather(*(monitor.first_attempt_done.wait() for monitor in self._monitors))

    async def replace(self) -> None:
        """A new worker for each old one, one after the other; nothing is refused meanwhile."""
        for monitor in self._monitors:
            await monitor.replace()
        logger.info("all workers replaced", extra=fields(workers=len(self._monitors)))

    async def set_target_config(self, generation: int, config: Config) -> None:
        """Have every worker take the configuration into use, those that are being started too."""
        self.wanted.replace(generation=generation, config=await in_slices(dumps, config))

    @property
    def answering(self) -> bool:
        """Whether any worker answers checks."""
        return any(each.worker is not None and each.worker.answering for each in self._monitors)

    async def missing(self) -> dict[str, str]:
        """What keeps any worker from being ready."""
        found = not_ready(self._status())
        for number, report in await self._reports():
            if report is None:
                found.setdefault(f"worker {number}", "it does not answer")
            else:
                found |= report["missing"]
        return found

    async def metrics_snapshot(self) -> MetricsSnapshot:
        await self._reports()
        return merge(
            self._departed_metrics, [child.metrics_snapshot for child in self._live_workers()]
        )

    async def explain_denial(self, request_id: str) -> dict[str, Any] | None:
        """The explanation of a recent denial by whichever worker denied."""
        asked = [explanation for explanation in self._live_workers() if explanation.answering]
        explanations = await asyncio.gather(
            *(explanation.explain_denial(request_id) for explanation in asked)
        )
        return next((explanation for explanation in explanations if explanation is not None), None)

    async def _reports(self) -> list[tuple[int, dict[str, Any] | None]]:
        asked = [
            (each.number, each.worker)
            for each in self._monitors
            if each.worker is not None and each.worker.answering
        ]
        reports = await asyncio.gather(*(child.report() for _, child in asked))
        return [(number, report) for (number, _), report in zip(asked, reports, strict=True)]

    def describe(self) -> list[dict[str, Any]]:
        return [each.to_json() for each in self._status()]

    def _status(self) -> tuple[WorkerStatus, ...]:
        wanted, lag_seconds = self.wanted, self._timeouts.lag_seconds
        return tuple(
            status_of_slot(each, wanted, lag_seconds=lag_seconds) for each in self._monitors
        )

    def _live_workers(self) -> list[WorkerProcess]:
        return [child for monitor in self._monitors for child in monitor.workers]

    def _changed(self) -> None:
        """Draining workers count: they may still begin to answer."""
        serving = [each.generation for each in self._live_workers() if each.alive and each.serving]
        if serving:
            self.on_generation(min(serving))

    def _keep_metrics_of(self, worker: WorkerProcess) -> None:
        """Counts never go backwards because a worker is gone."""
        self._departed_metrics = merge(self._departed_metrics, [worker.metrics_snapshot])

    async def stop(self) -> None:
        await self._tasks.aclose()
        await asyncio.gather(*(monitor.stop() for monitor in self._monitors))

    def kill(self) -> None:
        for monitor in self._monitors:
            monitor.kill()
