"""How long the parent waits for a worker, and when it tries again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimeouts:
    start_seconds: float = 120.0
    """From the start of the process to its first answer to a check."""
    reload_seconds: float = 120.0
    """For a worker that answers checks to take a configuration into use."""
    report_seconds: float = 5.0
    stop_seconds: float = 60.0
    exit_seconds: float = 5.0
    """From the loss of the control channel, or the last answer, to the end of the process."""
    heartbeat_seconds: float = 1.0
    max_missed_heartbeats: int = 10
    """In a row, after which a worker hangs and is killed. Counted by the parent's own turns: after a
    pause of the whole machine, or of the parent, every worker has its time again."""
    late_heartbeats: int = 4
    """In a row, after which a worker counts as one that does not answer."""
    lag_seconds: float = 30.0
    """How long a worker may take for a new configuration before `/readyz` tells."""
    first_pause_seconds: float = 0.5
    """Before a worker is started after one that died or did not start; doubles with each."""
    max_pause_seconds: float = 30.0
    steady_seconds: float = 60.0
    """A worker that lived this long lets the pauses begin anew."""
