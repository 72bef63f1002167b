"""What the near cache counts, in plain numbers: a check answered from memory has no time for more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class NearCacheStats:
    """One for a process, whatever number of configurations come and go."""

    hits: int = 0
    """Sessions served from memory."""
    misses: int = 0
    """Fetches from the store; those who wait for the same one count once."""
    graced: int = 0
    """Sessions served from memory while the store was away, within `sessions.grace`."""
    invalidations: int = 0
    """Sessions dropped because the store told of a change."""
    evictions: int = 0
    """Sessions dropped to make room."""
    losses: int = 0
    """Times we lost touch with the store's changes."""
    touches: int = 0
    """Last uses written."""
