"""One worker slot, and the only owner of the processes in it.

Decides when a process is started: when there is none (again and again, with a growing pause), when
a replacement is requested, and when the worker is faulty. The old process finishes its requests.
Must not know how a process is spawned.
"""

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
    """Keeps one worker running.

    `spawn`: starts a process, given the function to call when its state changes.
    `on_change`: called when the state of the slot changes.
    `on_end`: called with each worker that has ended.
    `on_restart`: called with the kind of fault when a worker is started that was not requested.
    """

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
        """Why the last attempt to start a worker failed; empty after a success."""
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
        """All workers of this slot that may serve requests, draining ones included."""
        return tuple(worker for worker in (self.worker, *self._draining) if worker is not None)

    async def run(self) -> None:
        """Keep a worker running in this slot; never returns."""
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
        """Return when the current worker has ended and another one serves.

        Starts are retried without limit; the current worker stays until one succeeds.
        """
        self._outgoing = self.worker
        self._replaced = replaced = asyncio.Event()
        self._not_before = 0.0
        self._change()
        await replaced.wait()

    def _must_be_replaced(self, worker: WorkerProcess) -> bool:
        return bool(worker.fault) or (self._replaced is not None and worker is self._outgoing)

    async def _reap(self) -> None:
        worker = self.worker
        if worker is None or worker.alive:
            return
        exit_description = await worker.watched.wait_for_end(seconds=self._timeouts.exit_seconds)
        await worker.discard()
        self.worker = None
        self._on_end(worker)
        if self._clock() - self._started_at > self._timeouts.steady_seconds:
            self._pause = self._timeouts.first_pause_seconds
        kind = "hung" if worker.watched.hung else "died"
        self._failed(kind, "worker died, starting another", exit_description)

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
            # Whatever the error of the operating system, the next attempt may succeed.
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
        """Let every process finish its requests and end. `run` must have ended."""
        last = () if self.worker is None else (self.worker.stop(),)
        await asyncio.gather(*last, *self._draining.values(), return_exceptions=True)

    def kill(self) -> None:
        """Kill every process of this slot."""
        for worker in (*self.workers, self._starting):
            if worker is not None:
                worker.kill()
