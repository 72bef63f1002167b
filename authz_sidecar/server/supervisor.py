"""The parent process of several workers.

Decides whether a configuration may be used before the workers load it, and serves the operators'
listener for all of them. Never serves a check itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.observe.metrics import render
from authz_sidecar.observe.snapshot import merge
from authz_sidecar.server.http_server import ListenerConfig
from authz_sidecar.server.limits import ListenerLimits
from authz_sidecar.server.reload_status import ReloadStatus
from authz_sidecar.server.reloads import CoalescingRunner, ReloadRunner
from authz_sidecar.server.worker import MAX_CONNECTIONS
from authz_sidecar.web.ops import Readiness, build_ops_app

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from authz_sidecar.app import Application
    from authz_sidecar.observe.metrics import Metrics
    from authz_sidecar.server.worker_pool import WorkerPool


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """The supervisor of a worker pool.

    `first`: the application of the first configuration, built to validate it and never started: the
      workers build their own.
    `load`: reads the configuration and builds its application, for validation.
    `on_started`: called when each worker serves or has failed once.
    """

    first: Application
    load: Callable[[Application | None], Application]
    workers: WorkerPool
    metrics: Metrics
    on_started: Callable[[], None] = lambda: None
    reload_status: ReloadStatus = field(init=False)
    reloads: ReloadRunner = field(init=False)
    replacements: CoalescingRunner = field(init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: BackgroundTasks = field(default_factory=BackgroundTasks)

    def __post_init__(self) -> None:
        self.reload_status = ReloadStatus(self.first, metrics=self.metrics)
        self.workers.on_generation = self.reload_status.record_active
        self.reloads = ReloadRunner(
            load=lambda: self.load(None), activate=self._activate, status=self.reload_status
        )
        self.replacements = CoalescingRunner(self.workers.replace)

    async def run(self, *, ops: tuple[socket.socket, ...]) -> None:
        """Run the workers and the operators' listener until `stop`.

        `ops`: the listening sockets of the operators' listener.
        """
        server = ListenerConfig(
            app=build_ops_app(self),
            limits=ListenerLimits(max_connections=MAX_CONNECTIONS["ops"]),
            on_refusal=lambda status: self.metrics.count_refused_connection(
                listener="ops", status=status
            ),
        ).create_server()
        serving = self._tasks.start(server.serve(sockets=list(ops)), name="ops listener")
        try:
            self.workers.start()
            self._tasks.start(self._report_start(), name="first start of the workers")
            self._tasks.supervise(self.reloads.run, name="reloads")
            self._tasks.supervise(self.replacements.run, name="replacements of workers")
            await self._until_stopped(serving)
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            await self._tasks.aclose()
            await self.workers.stop()

    async def _report_start(self) -> None:
        await self.workers.wait_for_first_attempts()
        self.on_started()

    async def _until_stopped(self, serving: asyncio.Task[None]) -> None:
        stop = self._tasks.start(self._stop.wait(), name="stop")
        await asyncio.wait((stop, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()  # a failed listener ends the process

    def stop(self) -> None:
        """Let the workers finish their requests; a second call kills them."""
        if self._stop.is_set():
            self.workers.kill()
        self._stop.set()

    async def _activate(self, generation: int, application: Application) -> None:
        await self.workers.set_target_config(generation, application.config)

    # The operators' view (`web.ops.Operations`)

    def answering(self) -> bool:
        """Whether any worker serves checks."""
        return self.workers.answering

    async def readiness(self) -> Readiness:
        """Return what keeps any worker from being ready."""
        return Readiness(missing=await self.workers.missing())

    async def metrics_page(self) -> bytes:
        """Return the metrics of all processes, summed, in Prometheus' text format."""
        return render(merge(self.metrics.snapshot(), [await self.workers.metrics_snapshot()]))

    async def status(self) -> Mapping[str, Any]:
        """Return the content of `/status`."""
        return {**self.reload_status.status(), "workers": self.workers.describe()}

    async def denial(self, request_id: str) -> Mapping[str, Any] | None:
        """Return the explanation of a recent denial of any worker, or None if there is none."""
        return await self.workers.explain_denial(request_id)
