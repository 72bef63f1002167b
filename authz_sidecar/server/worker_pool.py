"""Several workers on the same listening sockets.

Keeps one monitor per worker and the target configuration of all of them, and sums up their metrics.
The supervisor serves the operators' listener alone and never a check.
"""

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
    """One worker process with its control channel.

    It is kept on the target configuration while it lives.
    """

    def __init__(
        self,
        process: Process,
        channel: ControlChannel,
        *,
        target: TargetConfig,
        timeouts: WorkerTimeouts,
        on_change: Callable[[], None],
    ) -> None:
        self.pid = process.pid
        self.serving = False
        self._channel = channel
        self._timeouts = timeouts
        self._config = ConfigFollower(channel, target, timeouts=timeouts, on_change=on_change)
        self._last_snapshot: MetricsSnapshot = ()
        self._tasks = BackgroundTasks()
        self.watched = WatchedProcess(
            process, channel, timeouts=timeouts, on_heartbeat=self._on_heartbeat, on_end=on_change
        )

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.watched.alive

    @property
    def generation(self) -> int:
        """The generation of the configuration that it serves."""
        return self._config.generation

    @property
    def fault(self) -> str:
        """Why another worker has to replace it; empty while there is no reason."""
        return self._config.fault if self.alive else ""

    @property
    def answering(self) -> bool:
        """Whether it serves checks, as far as its heartbeats tell."""
        return self.alive and self.serving and not self.watched.is_silent

    async def start(self) -> None:
        """Make it load the target configuration and serve.

        Raises `WorkerError` when it does not within `start_seconds`.
        """
        seconds = self._timeouts.start_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._config.catch_up(seconds=seconds)
                await self._channel.call("serve", seconds=seconds)
        except TimeoutError as error:
            raise WorkerError(f"it was not ready within {seconds:g} s") from error
        except ChannelClosedError as error:
            # A process that does not end by itself is killed within this time.
            exit_description = await self.watched.wait_for_end(
                seconds=2 * self._timeouts.exit_seconds
            )
            raise WorkerError(exit_description or str(error)) from error
        self.serving = True
        self._tasks.supervise(self._config.run, name="configuration of a worker")

    async def report(self) -> dict[str, Any] | None:
        """Return its metrics and what it is missing, or None when it does not respond."""
        with contextlib.suppress(ChannelClosedError):
            response = await self._channel.call("report", seconds=self._timeouts.report_seconds)
            self._last_snapshot = from_json(response["metrics"])
            return response
        return None

    async def explain_denial(self, request_id: str) -> dict[str, Any] | None:
        """Return the explanation of a denial of this worker, or None."""
        with contextlib.suppress(ChannelClosedError):
            seconds = self._timeouts.report_seconds
            response = await self._channel.call("denial", seconds=seconds, argument=request_id)
            explanation: dict[str, Any] | None = response["denial"]
            return explanation
        return None

    @property
    def metrics_snapshot(self) -> MetricsSnapshot:
        """Its metrics in the last report."""
        return self._last_snapshot

    async def stop(self) -> None:
        """Let it finish open requests and report its metrics; kill it when that takes too long."""
        if self.answering:
            await self.report()
        if self.alive:
            with contextlib.suppress(ChannelClosedError):
                response = await self._channel.call("stop", seconds=self._timeouts.stop_seconds)
                self._last_snapshot = from_json(response["metrics"])
                await self.watched.wait_for_end(seconds=self._timeouts.exit_seconds)
        await self.discard()

    async def discard(self) -> None:
        """Kill it and wait for its end."""
        await self.watched.discard()
        await self._tasks.aclose()

    def kill(self) -> None:
        """Kill it if it is running."""
        self.watched.kill()

    def _on_heartbeat(self, heartbeat: dict[str, Any]) -> None:
        self._config.record_generation(heartbeat["generation"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """How a worker process is started."""

    sockets: Mapping[str, tuple[socket.socket, ...]]
    log_format: LogFormat
    log_level: str
    executable: str = sys.executable
    timeouts: WorkerTimeouts = field(default_factory=WorkerTimeouts)

    async def spawn(self, *, target: TargetConfig, on_change: Callable[[], None]) -> WorkerProcess:
        """Start a process, which does not serve yet. Raises `OSError` when it cannot be started."""
        parent_end, worker_end = socket.socketpair()
        with worker_end, contextlib.ExitStack() as unless_started:
            # A process that was started in spite of an error ends with the channel.
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
            channel = await ControlChannel.from_socket(parent_end)
            unless_started.pop_all()
        return WorkerProcess(
            process, channel, target=target, timeouts=self.timeouts, on_change=on_change
        )


def _descriptors(sockets: tuple[socket.socket, ...]) -> tuple[int, ...]:
    return tuple(listener.fileno() for listener in sockets)


class WorkerPool:
    """The workers of one server.

    `config`: the first target configuration. Restarted workers get it from memory, so that a file
      broken since then does no harm.
    `count`: the number of workers.
    `on_generation`: called with the oldest generation that any worker serves.
    """

    def __init__(
        self,
        *,
        spec: WorkerSpec,
        config: Config,
        count: int,
        metrics: Metrics,
        on_generation: Callable[[int], None] = lambda _generation: None,
    ) -> None:
        self.target = TargetConfig.initial(dumps(config))
        self.on_generation = on_generation
        self._departed_metrics: MetricsSnapshot = ()
        self._tasks = BackgroundTasks()
        self._monitors = tuple(
            SlotMonitor(
                number,
                spawn=lambda on_change: spec.spawn(target=self.target, on_change=on_change),
                timeouts=spec.timeouts,
                on_change=self._on_worker_change,
                on_end=self._keep_metrics_of,
                on_restart=metrics.count_worker_restart,
            )
            for number in range(1, count + 1)
        )
        self._timeouts = spec.timeouts
        metrics.track_workers(self._status)

    def start(self) -> None:
        """Keep a worker running in each slot from now on."""
        for monitor in self._monitors:
            self._tasks.supervise(monitor.run, name=f"monitor of worker {monitor.number}")

    async def wait_for_first_attempts(self) -> None:
        """Return when each worker serves checks or has failed once."""
        await asyncio.gather(*(monitor.first_attempt_done.wait() for monitor in self._monitors))

    async def replace(self) -> None:
        """Replace every worker, one after the other; requests are served meanwhile."""
        for monitor in self._monitors:
            await monitor.replace()
        logger.info("all workers replaced", extra=fields(workers=len(self._monitors)))

    async def set_target_config(self, generation: int, config: Config) -> None:
        """Make `config` the target of every worker, including those that are being started."""
        self.target.replace(generation=generation, config=await in_slices(dumps, config))

    @property
    def answering(self) -> bool:
        """Whether any worker serves checks."""
        return any(
            monitor.worker is not None and monitor.worker.answering for monitor in self._monitors
        )

    async def missing(self) -> dict[str, str]:
        """Return what keeps any worker from being ready, by part."""
        problems = not_ready(self._status())
        for number, report in await self._reports():
            if report is None:
                problems.setdefault(f"worker {number}", "it does not answer")
            else:
                problems |= report["missing"]
        return problems

    async def metrics_snapshot(self) -> MetricsSnapshot:
        """Return the metrics of all workers, ended ones included."""
        await self._reports()
        return merge(
            self._departed_metrics, [worker.metrics_snapshot for worker in self._live_workers()]
        )

    async def explain_denial(self, request_id: str) -> dict[str, Any] | None:
        """Return the explanation of a recent denial of any worker, or None."""
        workers = [worker for worker in self._live_workers() if worker.answering]
        explanations = await asyncio.gather(
            *(worker.explain_denial(request_id) for worker in workers)
        )
        return next((explanation for explanation in explanations if explanation is not None), None)

    async def _reports(self) -> list[tuple[int, dict[str, Any] | None]]:
        workers = [
            (monitor.number, monitor.worker)
            for monitor in self._monitors
            if monitor.worker is not None and monitor.worker.answering
        ]
        reports = await asyncio.gather(*(worker.report() for _, worker in workers))
        return [(number, report) for (number, _), report in zip(workers, reports, strict=True)]

    def describe(self) -> list[dict[str, Any]]:
        """Return the status of each worker in the JSON form of `/status`."""
        return [status.to_json() for status in self._status()]

    def _status(self) -> tuple[WorkerStatus, ...]:
        target, lag_seconds = self.target, self._timeouts.lag_seconds
        return tuple(
            status_of_slot(monitor, target, lag_seconds=lag_seconds) for monitor in self._monitors
        )

    def _live_workers(self) -> list[WorkerProcess]:
        return [worker for monitor in self._monitors for worker in monitor.workers]

    def _on_worker_change(self) -> None:
        """Report the oldest generation served. Draining workers count: they may still respond."""
        generations = [
            worker.generation for worker in self._live_workers() if worker.alive and worker.serving
        ]
        if generations:
            self.on_generation(min(generations))

    def _keep_metrics_of(self, worker: WorkerProcess) -> None:
        """Keep the metrics of an ended worker, so that no counter decreases."""
        self._departed_metrics = merge(self._departed_metrics, [worker.metrics_snapshot])

    async def stop(self) -> None:
        """Let every worker finish its requests and end."""
        await self._tasks.aclose()
        await asyncio.gather(*(monitor.stop() for monitor in self._monitors))

    def kill(self) -> None:
        """Kill every worker."""
        for monitor in self._monitors:
            monitor.kill()
