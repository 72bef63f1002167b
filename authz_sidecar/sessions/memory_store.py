"""A store in this process: for trials, tests and one worker. What is in it ends with the process."""

from __future__ import annotations

import heapq
import math
import time
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.sessions.store import Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.sessions.store import Listener

T = TypeVar("T")


class MemoryStore:
    """Expired entries are dropped with the next write, so strangers cannot make it grow for long."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._values: dict[str, tuple[bytes, float]] = {}
        self._indexes: dict[str, tuple[dict[str, float], float]] = {}
        self._counts: dict[str, tuple[int, float]] = {}
        self._expiries: list[tuple[float, str]] = []
        self._watches: list[MemoryWatch] = []

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._values) + len(self._indexes) + len(self._counts)

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        return tuple(map(self._get, keys))

    async def write(self, *entries: Entry) -> None:
        self._drop_expired()
        for entry in entries:
            self._put(entry)

    async def write_new(self, entry: Entry) -> bool:
        self._drop_expired()
        if self._get(entry.key) is not None:
            return False
        self._put(entry)
        return True

    async def rewrite(self, entry: Entry) -> bool:
        self._drop_expired()
        if self._get(entry.key) is None:
            return False
        self._put(entry)
        return True

    async def rewrite_all(self, *entries: Entry) -> tuple[bool, ...]:
        return tuple([await self.rewrite(entry) for entry in entries])

    async def swap(self, key: str, old: bytes, new: bytes) -> bool:
        if self._get(key) != old:
            return False
        _, expiry = self._values[key]
        self._put(Entry(key, new, expiry - self._clock()))
        return True

    async def take(self, key: str) -> bytes | None:
        value = self._get(key)
        await self.delete(key)
        return value

    async def delete(self, *keys: str) -> None:
        for key in keys:
            if self._values.pop(key, None) is not None:
                self._tell(key)

    async def index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        self._drop_expired()
        members, ends = self._indexes.get(key, ({}, 0.0))
        members = {name: at for name, at in members.items() if at > now} | {member: expires_at}
        # The index lives as long as its last member.
        ends = max(ends, self._clock() + expires_at - now)
        self._indexes[key] = (members, ends)
        self._expire(key, ends)

    async def indexed(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        indexes = (self._indexes.get(key, ({}, 0.0))[0] for key in keys)
        return tuple(
            tuple(
                name for at, name in sorted((at, name) for name, at in members.items()) if at > now
            )
            for members in indexes
        )

    async def unindex(self, key: str, *members: str) -> None:
        held, _ = self._indexes.get(key, ({}, 0.0))
        for member in members:
            held.pop(member, None)
        if not held:
            self._indexes.pop(key, None)

    async def count(self, key: str, *, window: float) -> int:
        self._drop_expired()
        now = self._clock()
        count, ends = self._counts.get(key, (0, now + window))
        self._counts[key] = (count + 1, ends)
        if not count:
            self._expire(key, ends)
        return count + 1

    async def confirmed(self, write: Callable[[], Awaitable[T]]) -> T:
        return await write()

    def watch(self, listener: Listener, *, prefixes: tuple[str, ...]) -> MemoryWatch:
        return MemoryWatch(listener, prefixes, self._watches)

    async def ready(self) -> None:
        """Memory always is."""

    async def aclose(self) -> None:
        for held in (self._values, self._indexes, self._counts, self._expiries):
            held.clear()

    def _get(self, key: str) -> bytes | None:
        value, expiry = self._values.get(key, (None, 0.0))
        return value if expiry > self._clock() else None

    def _put(self, entry: Entry) -> None:
        expiry = self._clock() + entry.ttl
        self._values[entry.key] = (entry.value, expiry)
        self._tell(entry.key)
        self._expire(entry.key, expiry)

    def _tell(self, key: str) -> None:
        for watch in self._watches:
            watch.tell(key)

    def _expire(self, key: str, expiry: float) -> None:
        heapq.heappush(self._expiries, (expiry, key))

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._expiries and self._expiries[0][0] <= now:
            _, key = heapq.heappop(self._expiries)
            for held in (self._values, self._indexes, self._counts):
                if key in held and held[key][1] <= now:
                    del held[key]


class MemoryWatch:
    """Changes are told before the call that makes them returns, so what was told always holds."""

    def __init__(
        self, listener: Listener, prefixes: tuple[str, ...], watches: list[MemoryWatch]
    ) -> None:
        self._listener = listener
        self._prefixes = prefixes
        self._watches = watches

    def start(self) -> None:
        if self._prefixes and self not in self._watches:
            self._watches.append(self)
            self._listener.begun(math.inf)

    def tell(self, key: str) -> None:
        if key.startswith(self._prefixes):
            self._listener.changed((key,))

    async def aclose(self) -> None:
        if self in self._watches:
            self._watches.remove(self)
            self._listener.lost()
