"""What the operators' listener asks, answered by a process that is its own only worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from authz_sidecar.observe.metrics import page
from authz_sidecar.web.ops import Readiness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.server.worker import Worker


@dataclass(frozen=True, slots=True)
class WorkerState:
    worker: Worker

    async def readiness(self) -> Readiness:
        return Readiness(missing=await self.worker.application.missing())

    async def metrics_page(self) -> bytes:
        return page(self.worker.metrics.report())

    async def status(self) -> Mapping[str, Any]:
        return {**self.worker.history.status(), "workers": 1}

    async def denial(self, request_id: str) -> Mapping[str, Any] | None:
        return self.worker.application.denials.explain(request_id)
