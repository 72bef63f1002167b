"""A server with one worker, which is its own process: takes a new configuration into use where it
answers, without a parent."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.observe.metrics import render
from authz_sidecar.server.reload_status import ReloadStatus
from authz_sidecar.server.reloads import ReloadRunner
from authz_sidecar.server.worker_status import WorkerStatus, not_ready
from authz_sidecar.web.ops import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.app import Application
    from authz_sidecar.server.worker import Worker

    # HOUSE-REMOVED


@dataclass(slots=True, kw_only=True)
class SingleWorker:
    """`load` reads the configuration and builds its application, given the one that it may take
    parts over from."""

    worker: Worker
    load: Callable[[Application | None], Application]
    history: ReloadStatus = field(init=False)
    reloads: ReloadRunner = field(init=False)

    def __post_init__(self) -> None:
        worker = self.worker
        self.history = ReloadStatus(worker.first, metrics=worker.metrics)
        self.reloads = ReloadRunner(
            load=lambda: self.load(worker.application), activate=self._use, history=self.history
        )
        worker.metrics.track_workers(lambda: (self.status(),))

    async def run(self) -> None:
        """Answer until told to stop, then finish what was begun."""
        tasks = BackgroundTasks()
        tasks.supervise(self.reloads.run, name="reloads")
        try:
            await self.worker.run()
        finally:
            await tasks.aclose()

    async def _use(self, generation: int, application: Application) -> None:
        await self.worker.take(application)
        self.history.record_active(generation)

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            worker=1,
            pid=os.getpid(),
            alive=True,
            answering=self.worker.answering,
            generation=self.history.generation,
            target_generation=self.history.target_generation,
            problem="" if self.worker.answering else "it does not answer",
        )


@dataclass(frozen=True, slots=True)
class WorkerOperations:
    single: SingleWorker

    def answering(self) -> bool:
        return self.single.worker.answering

    async def readiness(self) -> Readiness:
        missing = await self.single.worker.application.missing()
        return Readiness(missing={**not_ready([self.single.status()]), **missing})

    async def metrics_page(self) -> bytes:
        return render(self.single.worker.metrics.snapshot())

    async def status(self) -> Mapping[str, Any]:
        return {
            **self.single.history.status(),
            "workers": [self.single.status().to_json()],
        }

    async def denial(self, request_id: str) -> Mapping[str, Any] | None:
        return self.single.worker.application.denials.explain(request_id)
