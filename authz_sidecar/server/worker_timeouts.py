"""The timeouts of the supervisor for its workers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimeouts:
    """How long the supervisor waits for a worker, in seconds, and when it starts one again."""

    start_seconds: float = 120.0
    """From the start of the process until it serves checks."""
    reload_seconds: float = 120.0
    """For a running worker to load a configuration."""
    report_seconds: float = 5.0
    stop_seconds: float = 60.0
    exit_seconds: float = 5.0
    """From the loss of the control channel, or the last response, to the end of the process."""
    heartbeat_seconds: float = 1.0
    max_missed_heartbeats: int = 10
    """In a row, after which a worker hangs and is killed. Counted in intervals of the supervisor:
    after a pause of the machine or of the supervisor, every worker has its full time again."""
    late_heartbeats: int = 4
    """In a row, after which a worker counts as not responding."""
    lag_seconds: float = 30.0
    """How long a worker may serve an older configuration before `/readyz` reports it."""
    first_pause_seconds: float = 0.5
    """Before a worker that died or did not start is started again; doubles with each failure."""
    max_pause_seconds: float = 30.0
    steady_seconds: float = 60.0
    """A worker that ran for this long resets the pause."""
