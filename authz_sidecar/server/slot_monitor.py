"""One place for a worker, and the only owner of the processes in it: starts one when there is none,
and again for as long as none can be started; puts another in its place when that is asked for or it
has to go; lets the old one finish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.observe.logging import fields
from authz_sidecar.server.control_channel import WorkerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.server.worker_pool import WorkerProcess
    from authz_sidecar.server.worker_timeouts import WorkerTimeouts

logger = logging.getLogger(__name__)


class SlotMonitor:
    """`spawn` starts a process and is given what to call when anything about it changes; `on_end`
    hears of each that is gone, `on_restart` why a worker had to be started that nobody had asked
    for."""

    def __init__(
        self,
        number: int,
        *,
        spawn: Callable[[Callable[[], None]], Awaitable[WorkerProcess]],
        timeouts: WorkerTimeouts,
        on_change: Callable[[], None],
        on_end: Callable[[WorkerProcess], None],
        on_restart: Callable[[str], None],
    ) -> None:
        self.number = number
        self.worker: WorkerProcess | None = None
        self.failure = ""
        """Why the last attempt to start a worker failed; empty after one that did not."""
        self.first_attempt_done = asyncio.Event()
        self._spawn = spawn
        self._timeouts = timeouts
        self._on_change = on_change
        self._on_end = on_end
        self._on_restart = on_restart
        self._clock = asyncio.get_running_loop().time
        self._changed = asyncio.Event()
        self._starting: WorkerProcess | None = None
        self._draining: dict[WorkerProcess, asyncio.Task[None]] = {}
        self._drains = BackgroundTasks()
        self._outgoing: WorkerProcess | None = None
        self._replaced: asyncio.Event | None = None
        self._started_at = 0.0
        self._pause = timeouts.first_pause_seconds
        self._not_before = 0.0

    @property
    def workers(self) -> tuple[WorkerProcess, ...]:
        """All that may answer."""
        return tuple(each for each in (self.worker, *self._draining) if each is not None)

    async def run(self) -> None:
        """Have a worker in this slot, always."""
        while True:
            self._changed.clear()
            await self._reap()
            if self.worker is not None and not self._must_be_replaced(self.worker):
                await self._changed.wait()
            elif (seconds := self._not_before - self._clock()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._changed.wait()
            else:
                await self._start_worker()

    async def replace(self) -> None:
        """Return when the worker that is in this slot now is gone and another answers. Tries for as
        long as it takes; the old one stays until then."""
        self._outgoing = self.worker
        self._replaced = replaced = asyncio.Event()
        self._not_before = 0.0
        self._change()
        await replaced.wait()

    def _must_be_replaced(self, child: WorkerProcess) -> bool:
        return bool(child.fault) or (self._replaced is not None and child is self._outgoing)

    async def _reap(self) -> None:
        child = self.worker
        if child is None or child.alive:
            return
        how = await child.watched.end(seconds=self._timeouts.exit_seconds)
        await child.discard()
        self.worker = None
        self._on_end(child)
        if self._clock() - self._started_at > self._timeouts.steady_seconds:
            self._pause = self._timeouts.first_pause_seconds
        kind = "hung" if child.watched.hung else "died"
        self._failed(kind, "worker died, starting another", how)

    async def _start_worker(self) -> None:
        try:
            new = await self._spawn_ready_worker()
        except WorkerError as error:
            self.failure = str(error)
            self._failed("not-started", "worker cannot be started, trying again", self.failure)
            return
        finally:
            self.first_attempt_done.set()
        old, self.worker = self.worker, new
        self.failure = ""
        self._started_at = self._clock()
        if old is not None:
            if old is not self._outgoing:
                self._on_restart("lagging")
            self._draining[old] = self._drains.start(
                self._drain(old), name=f"end of worker {self.number}"
            )
        self._change()

    async def _spawn_ready_worker(self) -> WorkerProcess:
        try:
            new = self._starting = await self._spawn(self._change)
        except Exception as error:
            # Whatever the operating system said, the next attempt may succeed.
            raise WorkerError(str(error) or type(error).__name__) from error
        try:
            await new.start()
        except BaseException:
            await new.discard()
            raise
        finally:
            self._starting = None
        return new

    def _failed(self, kind: str, message: str, reason: str) -> None:
        logger.error(
            message,
            extra=fields(worker=self.number, reason=reason, pause_seconds=self._pause),
        )
        self._on_restart(kind)
        self._not_before = self._clock() + self._pause
        self._pause = min(2 * self._pause, self._timeouts.max_pause_seconds)

    async def _drain(self, old: WorkerProcess) -> None:
        try:
            await old.stop()
        finally:
            del self._draining[old]
            self._on_end(old)
            self._change()

    def _change(self) -> None:
        if (
            self._replaced is not None
            and self.worker is not None
            and self._outgoing not in self.workers
        ):
            self._replaced.set()
            self._replaced = self._outgoing = None
        self._changed.set()
        self._on_change()

    async def stop(self) -> None:
        """Let every process finish. `run` must have ended."""
        last = () if self.worker is None else (self.worker.stop(),)
        await asyncio.gather(*last, *self._draining.values(), return_exceptions=True)

    def kill(self) -> None:
        for child in (*self.workers, self._starting):
            if child is not None:
                child.kill()
