"""May what is in memory be relied on? Pure: told of answers and losses, it holds no clock.

A period of unbroken touch with the store's changes is an epoch. What was verified in one is good as
long as it lasts and was confirmed a moment ago; afterwards it is suspect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from authz_sidecar.sessions.cache.entries import NearEntry
from authz_sidecar.sessions.keys import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    # HOUSE-REMOVED
    from authz_sidecar.sessions.cache.entries import Entries
    from authz_sidecar.sessions.cache.stats import NearCounts

BOUND_SECONDS = 1.5
"""How old the last confirmation may be: the longest that a revocation can go unnoticed."""

_EPOCHS_REMEMBERED = 16


class Coherence:
    """All times are of the monotonic clock."""

    __slots__ = ("_confirmed", "epoch", "fresh_until", "refused", "tracked")

    def __init__(self) -> None:
        self.epoch = 0
        self.tracked = False
        self.refused = False
        self.fresh_until = -math.inf
        # When each of the last epochs was confirmed for the last time.
        self._confirmed = {0: -math.inf}

    def begun(self, at: float) -> None:
        self.epoch += 1
        self.tracked, self.refused = True, False
        self._confirmed[self.epoch] = at
        self._confirmed.pop(self.epoch - _EPOCHS_REMEMBERED, None)
        self.answered(at)

    def answered(self, at: float) -> None:
        if self.tracked:
            self._confirmed[self.epoch] = at
            self.fresh_until = at + BOUND_SECONDS

    def lost(self) -> None:
        self.tracked = False
        self.fresh_until = -math.inf

    def confirmed(self, epoch: int) -> float:
        """Until when it is certain that everything verified in this epoch stood."""
        return self._confirmed.get(epoch, -math.inf)


class NewsOfChanges:
    """A `Listener` of the store."""

    def __init__(self, *, entries: Entries, coherence: Coherence, counts: NearCounts) -> None:
        self._entries = entries
        self._coherence = coherence
        self._counts = counts

    def begun(self, at: float) -> None:
        self._coherence.begun(at)

    def answered(self, at: float) -> None:
        self._coherence.answered(at)

    def lost(self) -> None:
        self._counts.losses += self._coherence.tracked
        self._coherence.lost()

    def refused(self) -> None:
        self._coherence.lost()
        self._coherence.refused = True
        self._entries.clear()

    def changed(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._changed(name_of(key))

    def all_changed(self) -> None:
        for name in self._entries.names():
            self._changed(name)

    def _changed(self, name: str) -> None:
        for concerned in self._entries.concerned(name):
            if isinstance(concerned, NearEntry):
                self._entries.drop(concerned)
                self._counts.invalidations += 1
            else:
                concerned.spoilt = True
