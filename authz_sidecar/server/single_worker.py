"""A server with one worker, in this process.

Takes a new configuration into use without a supervisor, and responds to the operators' listener
itself. Must not know how an application is built.
"""

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


@dataclass(slots=True, kw_only=True)
class SingleWorker:
    """One worker that reloads its own configuration.

    `load`: reads the configuration and builds its application, given the current one to reuse parts
      of.
    """

    worker: Worker
    load: Callable[[Application | None], Application]
    reload_status: ReloadStatus = field(init=False)
    reloads: ReloadRunner = field(init=False)

    def __post_init__(self) -> None:
        worker = self.worker
        self.reload_status = ReloadStatus(worker.first, metrics=worker.metrics)
        self.reloads = ReloadRunner(
            load=lambda: self.load(worker.application),
            activate=self._activate,
            status=self.reload_status,
        )
        worker.metrics.track_workers(lambda: (self.status(),))

    async def run(self) -> None:
        """Serve until `worker` is stopped; open requests are finished."""
        tasks = BackgroundTasks()
        tasks.supervise(self.reloads.run, name="reloads")
        try:
            await self.worker.run()
        finally:
            await tasks.aclose()

    async def _activate(self, generation: int, application: Application) -> None:
        await self.worker.activate(application)
        self.reload_status.record_active(generation)

    def status(self) -> WorkerStatus:
        """Return the status of the worker."""
        return WorkerStatus(
            worker=1,
            pid=os.getpid(),
            alive=True,
            answering=self.worker.answering,
            generation=self.reload_status.generation,
            target_generation=self.reload_status.target_generation,
            problem="" if self.worker.answering else "it does not answer",
        )


@dataclass(frozen=True, slots=True)
class WorkerOperations:
    """The operators' view of a single worker (`web.ops.Operations`)."""

    single: SingleWorker

    def answering(self) -> bool:
        """Whether checks are served."""
        return self.single.worker.answering

    async def readiness(self) -> Readiness:
        """Return what keeps the server from being ready."""
        missing = await self.single.worker.application.missing()
        return Readiness(missing={**not_ready([self.single.status()]), **missing})

    async def metrics_page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return render(self.single.worker.metrics.snapshot())

    async def status(self) -> Mapping[str, Any]:
        """Return the content of `/status`."""
        return {
            **self.single.reload_status.status(),
            "workers": [self.single.status().to_json()],
        }

    async def denial(self, request_id: str) -> Mapping[str, Any] | None:
        """Return the explanation of a recent denial, or None if there is none."""
        return self.single.worker.application.denials.explain(request_id)
