"""The status of each worker, as `/status`, `/readyz` and the metrics report it.

Pure, except for reading the state of a monitor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.server.slot_monitor import SlotMonitor
    from authz_sidecar.server.target_config import TargetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """The status of one worker.

    `worker`: its number, from 1.
    `generation`: the oldest generation that its processes serve; 0 while none serves.
    `problem`: why it cannot be relied on, for the operator; empty while it can.
    """

    worker: int
    pid: int | None
    alive: bool
    answering: bool
    generation: int
    target_generation: int
    problem: str

    @property
    def lagging(self) -> bool:
        """Whether it may serve another generation than the target."""
        return self.generation not in (0, self.target_generation)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of `/status`."""
        return {
            "worker": self.worker,
            "pid": self.pid,
            "alive": self.alive,
            "answering": self.answering,
            "generation": self.generation,
            "lagging": self.lagging,
            "trouble": self.problem or None,
        }


def status_of_slot(
    monitor: SlotMonitor, target: TargetConfig, *, lag_seconds: float
) -> WorkerStatus:
    """Return the status of a worker slot; draining processes count for its generation.

    `lag_seconds`: how long another generation than the target is not a problem.
    """
    worker = monitor.worker
    target_generation = target.current.generation
    if worker is None or not worker.alive:
        return WorkerStatus(
            worker=monitor.number,
            pid=None,
            alive=False,
            answering=False,
            generation=0,
            target_generation=target_generation,
            problem=f"it is not running: {monitor.failure or 'it is being started'}",
        )
    generation = min(
        (process.generation for process in monitor.workers if process.alive), default=0
    )
    problem = ""
    if not worker.answering:
        problem = "it does not answer"
    elif generation != target_generation and (
        worker.fault or target.is_overdue(generation, seconds=lag_seconds)
    ):
        problem = f"it answers by generation {generation} of the configuration"
        problem += f", not by {target_generation}"
        problem += f": {worker.fault}" if worker.fault else ""
    return WorkerStatus(
        worker=monitor.number,
        pid=worker.pid,
        alive=True,
        answering=worker.answering,
        generation=generation,
        target_generation=target_generation,
        problem=problem,
    )


def not_ready(workers: Iterable[WorkerStatus]) -> dict[str, str]:
    """Return the problem of each worker that cannot be relied on, as `/readyz` shows it."""
    return {f"worker {status.worker}": status.problem for status in workers if status.problem}
