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
from authz_sidecar.observe.snapshot import Report, added_up, from_json
from authz_sidecar.server.config_follower import ConfigFollower
from authz_sidecar.server.control_channel import Line, LineLostError, WorkerError
from authz_sidecar.server.low_priority_thread import in_slices
from authz_sidecar.server.slot_monitor import SlotMonitor
from authz_sidecar.server.target_config import Wanted
from authz_sidecar.server.watched_process import WatchedProcess
from authz_sidecar.server.worker_status import WorkerStatus, not_ready, status_of
from authz_sidecar.server.worker_timeouts import WorkerTimeouts

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping

    from authz_sidecar.config.schema import Config
    from authz_sidecar.observe.logging import LogFormat
    from authz_sidecar.observe.metrics import Metrics

logger = logging.getLogger(__name__)


class Child:
    """One worker process, and the control channel to it. Kept on the wanted configuration for as
    long as it lives."""

    def __init__(
        self,
        process: Process,
        line: Line,
        *,
        wanted: Wanted,
        timeouts: WorkerTimeouts,
        on_change: Callable[[], None],
    ) -> None:
        self.pid = process.pid
        self.serving = False
        self._line = line
        self._timeouts = timeouts
        self._config = ConfigFollower(line, wanted, timeouts=timeouts, on_change=on_change)
        self._last: Report = ()
        self._tasks = BackgroundTasks()
        self.watched = WatchedProcess(
            process, line, timeouts=timeouts, on_beat=self._heard, on_end=on_change
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
                await self._line.ask("serve", seconds=seconds)
        except TimeoutError as error:
            raise WorkerError(f"it was not ready within {seconds:g} s") from error
        except LineLostError as error:
            # Where it does not end by itself, it is killed within this time.
            ended = await self.watched.end(seconds=2 * self._timeouts.exit_seconds)
            raise WorkerError(ended or str(error)) from error
        self.serving = True
        self._tasks.keep(self._config.run, name="configuration of a worker")

    async def report(self) -> dict[str, Any] | None:
        """What it says of itself; None when it does not answer."""
        with contextlib.suppress(LineLostError):
            answer = await self._line.ask("report", seconds=self._timeouts.report_seconds)
            self._last = from_json(answer["metrics"])
            return answer
        return None

    async def denial(self, request_id: str) -> dict[str, Any] | None:
        """Its explanation of a denial, if it was this worker's."""
        with contextlib.suppress(LineLostError):
            seconds = self._timeouts.report_seconds
            answer = await self._line.ask("denial", seconds=seconds, about=request_id)
            found: dict[str, Any] | None = answer["denial"]
            return found
        return None

    @property
    def counted(self) -> Report:
        """What it had counted when it was last heard of."""
        return self._last

    async def stop(self) -> None:
        """Let it finish what it began and say what it counted; kill it when that takes too long."""
        if self.answering:
            await self.report()
        if self.alive:
            with contextlib.suppress(LineLostError):
                answer = await self._line.ask("stop", seconds=self._timeouts.stop_seconds)
                self._last = from_json(answer["metrics"])
                await self.watched.end(seconds=self._timeouts.exit_seconds)
        await self.discard()

    async def discard(self) -> None:
        """End it at once."""
        await self.watched.discard()
        await self._tasks.aclose()

    def kill(self) -> None:
        self.watched.kill()

    def _heard(self, beat: dict[str, Any]) -> None:
        self._config.heard(beat["generation"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a worker is started."""

    sockets: Mapping[str, tuple[socket.socket, ...]]
    log_format: LogFormat
    log_level: str
    executable: str = sys.executable
    timeouts: WorkerTimeouts = field(default_factory=WorkerTimeouts)

    async def spawn(self, *, wanted: Wanted, on_change: Callable[[], None]) -> Child:
        """Start a process, which answers nothing yet. Raises whatever keeps it from being started."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as unless_started:
            # A process that was started all the same ends with the channel.
            unless_started.callback(ours.close)
            handed = {name: _descriptors(self.sockets[name]) for name in ("check", "web")}
            arguments = ["--control", str(theirs.fileno())]
            for name, descriptors in handed.items():
                arguments += [f"--{name}", ",".join(map(str, descriptors))]
            arguments += ["--log-format", self.log_format, "--log-level", self.log_level]
            process = await asyncio.create_subprocess_exec(
                self.executable,
                "-m",
                "authz_sidecar.server.worker_process",
                *arguments,
                pass_fds=(theirs.fileno(), *handed["check"], *handed["web"]),
                stdin=asyncio.subprocess.DEVNULL,
            )
            ours.setblocking(False)
            line = await Line.over(ours)
            unless_started.pop_all()
        return Child(process, line, wanted=wanted, timeouts=self.timeouts, on_change=on_change)


def _descriptors(sockets: tuple[socket.socket, ...]) -> tuple[int, ...]:
    return tuple(each.fileno() for each in sockets)


class Workers:
    """`config` is the first that is wanted: a file that has been spoilt since keeps no worker from
    being restarted. `on_generation` hears which generation every worker answers by."""

    def __init__(
        self,
        *,
        recipe: Recipe,
        config: Config,
        count: int,
        metrics: Metrics,
        on_generation: Callable[[int], None] = lambda _generation: None,
    ) -> None:
        self.wanted = Wanted.first(dumps(config))
        self.on_generation = on_generation
        self._gone: Report = ()
        self._tasks = BackgroundTasks()
        self._monitors = tuple(
            SlotMonitor(
                number,
                spawn=lambda on_change: recipe.spawn(wanted=self.wanted, on_change=on_change),
                timeouts=recipe.timeouts,
                on_change=self._changed,
                on_end=self._remember,
                on_restart=metrics.worker_restart,
            )
            for number in range(1, count + 1)
        )
        self._timeouts = recipe.timeouts
        metrics.workers(self._status)

    def start(self) -> None:
        """Have a worker in each slot from now on."""
        for monitor in self._monitors:
            self._tasks.keep(monitor.run, name=f"monitor of worker {monitor.number}")

    async def tried(self) -> None:
        """Return when each worker answers checks, or has failed once."""
        await asyncio.gather(*(monitor.tried.wait() for monitor in self._monitors))

    async def replace(self) -> None:
        """A new worker for each old one, one after the other; nothing is refused meanwhile."""
        for monitor in self._monitors:
            await monitor.replace()
        logger.info("all workers replaced", extra=fields(workers=len(self._monitors)))

    async def want(self, generation: int, config: Config) -> None:
        """Have every worker take the configuration into use, those that are being started too."""
        self.wanted.replace(generation=generation, config=await in_slices(dumps, config))

    @property
    def answering(self) -> bool:
        """Whether any worker answers checks."""
        return any(each.child is not None and each.child.answering for each in self._monitors)

    async def missing(self) -> dict[str, str]:
        """What keeps any worker from being ready."""
        found = not_ready(self._status())
        for number, report in await self._reports():
            if report is None:
                found.setdefault(f"worker {number}", "it does not answer")
            else:
                found |= report["missing"]
        return found

    async def counted(self) -> Report:
        await self._reports()
        return added_up(self._gone, [child.counted for child in self._children()])

    async def denial(self, request_id: str) -> dict[str, Any] | None:
        """The explanation of a recent denial by whichever worker denied."""
        asked = [each for each in self._children() if each.answering]
        found = await asyncio.gather(*(each.denial(request_id) for each in asked))
        return next((each for each in found if each is not None), None)

    async def _reports(self) -> list[tuple[int, dict[str, Any] | None]]:
        asked = [
            (each.number, each.child)
            for each in self._monitors
            if each.child is not None and each.child.answering
        ]
        reports = await asyncio.gather(*(child.report() for _, child in asked))
        return [(number, report) for (number, _), report in zip(asked, reports, strict=True)]

    def describe(self) -> list[dict[str, Any]]:
        return [each.described() for each in self._status()]

    def _status(self) -> tuple[WorkerStatus, ...]:
        wanted, lag_seconds = self.wanted, self._timeouts.lag_seconds
        return tuple(status_of(each, wanted, lag_seconds=lag_seconds) for each in self._monitors)

    def _children(self) -> list[Child]:
        return [child for monitor in self._monitors for child in monitor.children]

    def _changed(self) -> None:
        """Draining workers count: they may still begin to answer."""
        serving = [each.generation for each in self._children() if each.alive and each.serving]
        if serving:
            self.on_generation(min(serving))

    def _remember(self, child: Child) -> None:
        """Counts never go backwards because a worker is gone."""
        self._gone = added_up(self._gone, [child.counted])

    async def stop(self) -> None:
        await self._tasks.aclose()
        await asyncio.gather(*(monitor.stop() for monitor in self._monitors))

    def kill(self) -> None:
        for monitor in self._monitors:
            monitor.kill()
