"""What was worked out once, kept while it is asked for and there is room."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TwoGenerationCache(Generic[K, V]):
    """Two tables: what is asked for moves to the younger one; when that is full it becomes the
    older one, and what was not asked for meanwhile is forgotten. `max_size` is the size of both."""

    __slots__ = ("_half", "_old", "_size", "_young")

    def __init__(self, *, max_size: int) -> None:
        self._half = max_size // 2
        self._size = 0
        self._old: dict[K, tuple[V, int]] = {}
        self._young: dict[K, tuple[V, int]] = {}

    def get(self, key: K) -> V | None:
        found = self._young.get(key)
        if found is not None:
            return found[0]
        found = self._old.get(key)
        if found is None:
            return None
        self._put(key, found)
        return found[0]

    def put(self, key: K, value: V, *, size: int = 1) -> None:
        self._put(key, (value, size))

    def _put(self, key: K, sized: tuple[V, int]) -> None:
        self._young[key] = sized
        self._size += sized[1]
        if self._size > self._half:
            self._old, self._young, self._size = self._young, {}, 0


T = TypeVar("T")


class TTLCache(Generic[T]):
    """`max_entries` entries; each until a time of its own."""

    def __init__(self, *, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, tuple[T, float]] = OrderedDict()

    def get(self, token: str, *, now: float) -> T | None:
        key = _hash(token)
        kept = self._entries.get(key)
        if kept is None:
            return None
        value, until = kept
        if now >= until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, token: str, value: T, *, until: float) -> None:
        self._entries[_hash(token)] = value, until
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


def _hash(token: str) -> bytes:
    # Of the token no copy stays in memory.
    return sha256(token.encode()).digest()
