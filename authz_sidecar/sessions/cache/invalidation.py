"""May what is in memory be relied on? Pure: told of answers and losses, it holds no clock.

A period of unbroken touch with the store's changes is an epoch. What was verified in one is good as
long as it lasts and was confirmed a moment ago; afterwards it is suspect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from authz_sidecar.sessions.cache.entries import CachedSession
from authz_sidecar.sessions.keys import name_from_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    # HOUSE-REMOVED
    from authz_sidecar.sessions.cache.entries import CacheEntries
    from authz_sidecar.sessions.cache.stats import NearCacheStats

MAX_STALENESS_SECONDS = 1.5
"""How old the last confirmation may be: the longest that a revocation can go unnoticed."""

_MAX_EPOCHS = 16


class Coherence:
    """All times are of the monotonic clock."""

    __slots__ = ("_last_confirmed_at", "epoch", "fresh_until", "is_tracking", "is_unsupported")

    def __init__(self) -> None:
        self.epoch = 0
        self.is_tracking = False
        self.is_unsupported = False
        self.fresh_until = -math.inf
        # When each of the last epochs was confirmed for the last time.
        self._last_confirmed_at = {0: -math.inf}

    def start_epoch(self, confirmed_at: float) -> None:
        self.epoch += 1
        self.is_tracking, self.is_unsupported = True, False
        self._last_confirmed_at[self.epoch] = confirmed_at
        self._last_confirmed_at.pop(self.epoch - _MAX_EPOCHS, None)
        self.confirm(confirmed_at)

    def confirm(self, confirmed_at: float) -> None:
        if self.is_tracking:
            self._last_confirmed_at[self.epoch] = confirmed_at
            self.fresh_until = confirmed_at + MAX_STALENESS_SECONDS

    def suspend(self) -> None:
        self.is_tracking = False
        self.fresh_until = -math.inf

    def last_confirmed_at(self, epoch: int) -> float:
        """Until when it is certain that everything verified in this epoch stood."""
        return self._last_confirmed_at.get(epoch, -math.inf)


class InvalidationHandler:
    """A `Listener` of the store."""

    def __init__(
        self, *, entries: CacheEntries, coherence: Coherence, stats: NearCacheStats
    ) -> None:
        self._entries = entries
        self._coherence = coherence
        self._stats = stats

    def on_connected(self, confirmed_at: float) -> None:
        self._coherence.start_epoch(confirmed_at)

    def on_confirmed(self, confirmed_at: float) -> None:
        self._coherence.confirm(confirmed_at)

    def on_disconnected(self) -> None:
        self._stats.losses += self._coherence.is_tracking
        self._coherence.suspend()

    def on_unsupported(self) -> None:
        self._coherence.suspend()
        self._coherence.is_unsupported = True
        self._entries.clear()

    def on_invalidated(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._invalidate(name_from_key(key))

    def on_all_invalidated(self) -> None:
        for name in self._entries.names():
            self._invalidate(name)

    def _invalidate(self, name: str) -> None:
        for watcher in self._entries.watchers_of(name):
            if isinstance(watcher, CachedSession):
                self._entries.drop(watcher)
                self._stats.invalidations += 1
            else:
                watcher.invalidated = True
