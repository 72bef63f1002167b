"""Bounded caches in memory. Neither has a clock: the caller gives the time."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TwoGenerationCache(Generic[K, V]):
    """A cache that forgets what was not read lately; `max_size` bounds the sizes of all entries
    together.

    An entry that is read moves to the young table. When that one is half of `max_size`, it becomes
    the old table, and the entries of the old table that were not read are dropped.
    """

    __slots__ = ("_half", "_old", "_size", "_young")

    def __init__(self, *, max_size: int) -> None:
        self._half = max_size // 2
        self._size = 0
        self._old: dict[K, tuple[V, int]] = {}
        self._young: dict[K, tuple[V, int]] = {}

    def get(self, key: K) -> V | None:
        """Returns the value of `key`, or None."""
        entry = self._young.get(key)
        if entry is not None:
            return entry[0]
        entry = self._old.get(key)
        if entry is None:
            return None
        self._put(key, entry)
        return entry[0]

    def put(self, key: K, value: V, *, size: int = 1) -> None:
        """Stores `value`; `size` is its share of `max_size`."""
        self._put(key, (value, size))

    def _put(self, key: K, sized: tuple[V, int]) -> None:
        self._young[key] = sized
        self._size += sized[1]
        if self._size > self._half:
            self._old, self._young, self._size = self._young, {}, 0


T = TypeVar("T")


class TTLCache(Generic[T]):
    """A cache by token, with an expiry time for each entry; the least recently read entry is
    dropped first.

    It holds SHA-256 hashes of the tokens and no token itself.
    """

    def __init__(self, *, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, tuple[T, float]] = OrderedDict()

    def get(self, token: str, *, now: float) -> T | None:
        """Returns the value of `token`, or None once `now` has reached its expiry time (Unix
        seconds)."""
        key = _hash(token)
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, until = entry
        if now >= until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, token: str, value: T, *, until: float) -> None:
        """Stores `value` until the Unix time `until`."""
        self._entries[_hash(token)] = value, until
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


def _hash(token: str) -> bytes:
    # No copy of the token stays in memory.
    return sha256(token.encode()).digest()
