"""Whether a worker is alive, judged by how many beats in a row it has missed. Pure: counts the turns
of whoever listens, and knows no clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Heartbeat:
    """Counts from the first message on: what comes before it has a bound of its own."""

    max_missed: int
    late_after: int
    _missed: int = 0
    _begun: bool = False

    def record_message(self) -> None:
        """Any message is a sign of life."""
        self._begun = True
        self._missed = 0

    def record_interval(self) -> None:
        """One interval between two beats has passed."""
        if self._begun:
            self._missed += 1

    @property
    def is_late(self) -> bool:
        return self._missed >= self.late_after

    @property
    def is_hung(self) -> bool:
        return self._missed >= self.max_missed
