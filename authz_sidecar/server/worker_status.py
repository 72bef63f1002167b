"""What the operators' listener says of each worker: which process it is, which generation of the
configuration it answers by, and whether that is the one that is wanted. Pure, but for the reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.server.slot_monitor import SlotMonitor
    from authz_sidecar.server.target_config import TargetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """`generation` is the one it answers by; 0 while there is no process that answers. `problem` is
    why it cannot be relied on, in words for the operator; empty while it can."""

    worker: int
    pid: int | None
    alive: bool
    answering: bool
    generation: int
    target_generation: int
    problem: str

    @property
    def lagging(self) -> bool:
        """Whether it may answer by another generation than the wanted one."""
        return self.generation not in (0, self.target_generation)

    def to_json(self) -> dict[str, Any]:
        """As `/status` has it."""
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
    monitor: SlotMonitor, wanted: TargetConfig, *, lag_seconds: float
) -> WorkerStatus:
    """The oldest generation that any process of this slot answers by, one that leaves included."""
    child = monitor.worker
    now = wanted.current.generation
    if child is None or not child.alive:
        return WorkerStatus(
            worker=monitor.number,
            pid=None,
            alive=False,
            answering=False,
            generation=0,
            target_generation=now,
            problem=f"it is not running: {monitor.failure or 'it is being started'}",
        )
    generation = min((each.generation for each in monitor.workers if each.alive), default=0)
    trouble = ""
    if not child.answering:
        trouble = "it does not answer"
    elif generation != now and (child.fault or wanted.is_overdue(generation, seconds=lag_seconds)):
        trouble = f"it answers by generation {generation} of the configuration, not by {now}"
        trouble += f": {child.fault}" if child.fault else ""
    return WorkerStatus(
        worker=monitor.number,
        pid=child.pid,
        alive=True,
        answering=child.answering,
        generation=generation,
        target_generation=now,
        problem=trouble,
    )


def not_ready(workers: Iterable[WorkerStatus]) -> dict[str, str]:
    """Which workers cannot be relied on, and why, as `/readyz` has it."""
    return {f"worker {each.worker}": each.problem for each in workers if each.problem}
