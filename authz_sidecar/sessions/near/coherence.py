"""May what is in memory be relied on? Pure: told of answers and losses, it holds no clock.

A period of unbroken touch with the store's changes is an epoch. What was verified in one is good as
long as it lasts and was confirmed a moment ago; afterwards it is suspect.
"""

from __future__ import annotations

import math

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
