"""Coherence of the near cache with the store, and the handling of invalidations.

An epoch is a period without a gap in the reports of changes. A session that was verified in the
current epoch is valid while the subscription was confirmed a moment ago; those of earlier epochs
are served within the grace period only. An invalidated key drops the entries that depend on it and
marks running fetches. Pure: times are arguments, no clock is read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from authz_sidecar.sessions.cache.entries import CachedSession
from authz_sidecar.sessions.keys import name_from_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.sessions.cache.entries import CacheEntries
    from authz_sidecar.sessions.cache.stats import NearCacheStats

MAX_STALENESS_SECONDS = 1.5
"""The maximum age of the last confirmation, and so the longest that a revocation goes unnoticed."""

_MAX_EPOCHS = 16


class Coherence:
    """Whether cached sessions are certain to be valid. All times are in seconds of the monotonic
    clock.

    `epoch`: the number of the current or latest epoch.
    `fresh_until`: until when entries of this epoch may be served.
    `is_tracking`: whether changes are reported.
    `is_unsupported`: whether the store does not report changes at all.
    """

    __slots__ = ("_last_confirmed_at", "epoch", "fresh_until", "is_tracking", "is_unsupported")

    def __init__(self) -> None:
        self.epoch = 0
        self.is_tracking = False
        self.is_unsupported = False
        self.fresh_until = -math.inf
        # The last confirmation of each of the latest epochs.
        self._last_confirmed_at = {0: -math.inf}

    def start_epoch(self, confirmed_at: float) -> None:
        """Begin an epoch: every change since `confirmed_at` is reported."""
        self.epoch += 1
        self.is_tracking, self.is_unsupported = True, False
        self._last_confirmed_at[self.epoch] = confirmed_at
        self._last_confirmed_at.pop(self.epoch - _MAX_EPOCHS, None)
        self.confirm(confirmed_at)

    def confirm(self, confirmed_at: float) -> None:
        """Record that every change until `confirmed_at` has been reported."""
        if self.is_tracking:
            self._last_confirmed_at[self.epoch] = confirmed_at
            self.fresh_until = confirmed_at + MAX_STALENESS_SECONDS

    def suspend(self) -> None:
        """End the epoch: changes may be missed from now on."""
        self.is_tracking = False
        self.fresh_until = -math.inf

    def last_confirmed_at(self, epoch: int) -> float:
        """Until when every session verified in this epoch is known to have been valid; minus
        infinity for a forgotten epoch."""
        return self._last_confirmed_at.get(epoch, -math.inf)


class InvalidationHandler:
    """The `InvalidationListener` of the near cache."""

    def __init__(
        self, *, entries: CacheEntries, coherence: Coherence, stats: NearCacheStats
    ) -> None:
        self._entries = entries
        self._coherence = coherence
        self._stats = stats

    def on_connected(self, confirmed_at: float) -> None:
        """Begin an epoch."""
        self._coherence.start_epoch(confirmed_at)

    def on_confirmed(self, confirmed_at: float) -> None:
        """Confirm the epoch."""
        self._coherence.confirm(confirmed_at)

    def on_disconnected(self) -> None:
        """End the epoch; entries stay for the grace period."""
        self._stats.losses += self._coherence.is_tracking
        self._coherence.suspend()

    def on_unsupported(self) -> None:
        """End the epoch and drop all entries."""
        self._coherence.suspend()
        self._coherence.is_unsupported = True
        self._entries.clear()

    def on_invalidated(self, keys: Iterable[str]) -> None:
        """Drop the entries and mark the fetches that depend on these keys."""
        for key in keys:
            self._invalidate(name_from_key(key))

    def on_all_invalidated(self) -> None:
        """Drop all entries and mark all fetches."""
        for name in self._entries.names():
            self._invalidate(name)

    def _invalidate(self, name: str) -> None:
        for watcher in self._entries.watchers_of(name):
            if isinstance(watcher, CachedSession):
                self._entries.drop(watcher)
                self._stats.invalidations += 1
            else:
                watcher.invalidated = True
