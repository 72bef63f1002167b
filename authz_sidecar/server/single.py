"""A server with one worker, which is its own process: takes a new configuration into use where it
answers, without a parent."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.background import BackgroundTasks
from authz_sidecar.server.history import History
from authz_sidecar.server.reloads import Reloads
from authz_sidecar.server.worker_status import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.app import Application
    from authz_sidecar.server.worker import Worker


@dataclass(slots=True, kw_only=True)
class SingleWorker:
    """`load` reads the configuration and builds its application, given the one that it may take
    parts over from."""

    worker: Worker
    load: Callable[[Application | None], Application]
    history: History = field(init=False)
    reloads: Reloads = field(init=False)

    def __post_init__(self) -> None:
        worker = self.worker
        self.history = History(worker.first, metrics=worker.metrics)
        self.reloads = Reloads(
            load=lambda: self.load(worker.application), use=self._use, history=self.history
        )
        worker.metrics.workers(lambda: (self.status(),))

    async def run(self) -> None:
        """Answer until told to stop, then finish what was begun."""
        tasks = BackgroundTasks()
        tasks.keep(self.reloads.run, name="reloads")
        try:
            await self.worker.run()
        finally:
            await tasks.aclose()

    async def _use(self, generation: int, application: Application) -> None:
        await self.worker.take(application)
        self.history.confirmed(generation)

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            worker=1,
            pid=os.getpid(),
            alive=True,
            answering=self.worker.answering,
            generation=self.history.generation,
            wanted=self.history.wanted,
            trouble="" if self.worker.answering else "it does not answer",
        )
