"""What the operators' listener asks, answered by a process that is its own only worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.observe.metrics import page
from authz_sidecar.server.worker_status import not_ready
from authz_sidecar.web.ops import Readiness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.server.single import SingleWorker


@dataclass(frozen=True, slots=True)
class WorkerState:
    single: SingleWorker

    def answering(self) -> bool:
        return self.single.worker.answering

    async def readiness(self) -> Readiness:
        missing = await self.single.worker.application.missing()
        return Readiness(missing={**not_ready([self.single.status()]), **missing})

    async def metrics_page(self) -> bytes:
        return page(self.single.worker.metrics.report())

    async def status(self) -> Mapping[str, Any]:
        return {
            **self.single.history.status(),
            "workers": [self.single.status().described()],
        }

    async def denial(self, request_id: str) -> Mapping[str, Any] | None:
        return self.single.worker.application.denials.explain(request_id)
