"""Counters of the near cache, as plain integers: a cache hit has no time for more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class NearCacheStats:
    """The counters of one process; they outlive a reload of the configuration."""

    hits: int = 0
    """Sessions served from memory."""
    misses: int = 0
    """Fetches from the store; a shared fetch counts once."""
    graced: int = 0
    """Sessions served from memory while the store was unreachable, within `sessions.grace`."""
    invalidations: int = 0
    """Sessions dropped because the store reported a change."""
    evictions: int = 0
    """Sessions dropped because a limit was reached."""
    losses: int = 0
    """Times that the subscription to the store's changes was lost."""
    touches: int = 0
    """Last uses written."""
