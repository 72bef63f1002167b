"""What was found out about tokens, for a while: by their hash, bounded, the oldest forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """`most` entries; each until a time of its own."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, tuple[T, float]] = OrderedDict()

    def get(self, token: str, *, now: float) -> T | None:
        key = _hash(token)
        kept = self._kept.get(key)
        if kept is None:
            return None
        value, until = kept
        if now >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, token: str, value: T, *, until: float) -> None:
        self._kept[_hash(token)] = value, until
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _hash(token: str) -> bytes:
    # Of the token no copy stays in memory.
    return sha256(token.encode()).digest()
