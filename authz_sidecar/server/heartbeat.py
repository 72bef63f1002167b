"""Counts missed heartbeats of a worker. Pure: it counts intervals and reads no clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Heartbeat:
    """The number of heartbeats missed in a row, counted from the first message on.

    `late_after`: missed heartbeats after which the worker is late.
    `max_missed`: missed heartbeats after which the worker hangs.
    """

    max_missed: int
    late_after: int
    _missed: int = 0
    _begun: bool = False

    def record_message(self) -> None:
        """Record a message; any message is a sign of life."""
        self._begun = True
        self._missed = 0

    def record_interval(self) -> None:
        """Record that one heartbeat interval has passed."""
        if self._begun:
            self._missed += 1

    @property
    def is_late(self) -> bool:
        """Whether the worker has missed `late_after` heartbeats."""
        return self._missed >= self.late_after

    @property
    def is_hung(self) -> bool:
        """Whether the worker has missed `max_missed` heartbeats."""
        return self._missed >= self.max_missed
