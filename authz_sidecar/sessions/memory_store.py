"""A session store in the memory of this process, for trials, tests and a single worker.

Its contents end with the process.
"""

from __future__ import annotations

import heapq
import math
import time
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.sessions.store import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.sessions.store import InvalidationListener

T = TypeVar("T")


class MemoryStore:
    """A `SessionStore` in memory. Expired entries are dropped with the next write, so that
    anonymous requests cannot make it grow without bound."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._values: dict[str, tuple[bytes, float]] = {}
        self._indexes: dict[str, tuple[dict[str, float], float]] = {}
        self._counts: dict[str, tuple[int, float]] = {}
        self._expiries: list[tuple[float, str]] = []
        self._subscriptions: list[MemorySubscription] = []

    def __len__(self) -> int:
        """The number of keys, expired ones that are not dropped yet included."""
        return len(self._values) + len(self._indexes) + len(self._counts)

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        """The values of the keys, in their order; None for a key that does not exist."""
        return tuple(map(self._get, keys))

    async def write(self, *entries: StoreEntry) -> None:
        """Write all entries."""
        self._drop_expired()
        for entry in entries:
            self._put(entry)

    async def write_if_absent(self, entry: StoreEntry) -> bool:
        """Write the entry unless its key exists; returns whether it was written."""
        self._drop_expired()
        if self._get(entry.key) is not None:
            return False
        self._put(entry)
        return True

    async def write_if_present(self, entry: StoreEntry) -> bool:
        """Write the entry only if its key exists; returns whether it was written."""
        self._drop_expired()
        if self._get(entry.key) is None:
            return False
        self._put(entry)
        return True

    async def write_all_if_present(self, *entries: StoreEntry) -> tuple[bool, ...]:
        """Call `write_if_present` for each entry; returns which were written."""
        return tuple([await self.write_if_present(entry) for entry in entries])

    async def compare_and_swap(self, key: str, expected: bytes, value: bytes) -> bool:
        """Replace `expected` by `value` and keep the expiry; returns whether the key held
        `expected`."""
        if self._get(key) != expected:
            return False
        _, expiry = self._values[key]
        self._put(StoreEntry(key, value, expiry - self._clock()))
        return True

    async def read_and_delete(self, key: str) -> bytes | None:
        """The value of the key, which is deleted; None without one."""
        value = self._get(key)
        await self.delete(key)
        return value

    async def delete(self, *keys: str) -> None:
        """Delete the keys that exist."""
        for key in keys:
            if self._values.pop(key, None) is not None:
                self._notify(key)

    async def add_to_index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        """Add a member to an index until `expires_at`, and drop its expired members."""
        self._drop_expired()
        members, expires = self._indexes.get(key, ({}, 0.0))
        members = {name: expiry for name, expiry in members.items() if expiry > now} | {
            member: expires_at
        }
        # The index lives as long as its last member.
        expires = max(expires, self._clock() + expires_at - now)
        self._indexes[key] = (members, expires)
        self._expire(key, expires)

    async def read_indexes(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        """The members of each index that have not expired at `now`, the earliest to expire
        first."""
        member_maps = (self._indexes.get(key, ({}, 0.0))[0] for key in keys)
        return tuple(
            tuple(
                name
                for expiry, name in sorted((expiry, name) for name, expiry in members.items())
                if expiry > now
            )
            for members in member_maps
        )

    async def remove_from_index(self, key: str, *members: str) -> None:
        """Remove members from an index."""
        current_members, _ = self._indexes.get(key, ({}, 0.0))
        for member in members:
            current_members.pop(member, None)
        if not current_members:
            self._indexes.pop(key, None)

    async def count(self, key: str, *, window: float) -> int:
        """The number of calls for this key in its current window of `window` seconds, including
        this one."""
        self._drop_expired()
        now = self._clock()
        count, expires = self._counts.get(key, (0, now + window))
        self._counts[key] = (count + 1, expires)
        if not count:
            self._expire(key, expires)
        return count + 1

    async def run_confirmed(self, write: Callable[[], Awaitable[T]]) -> T:
        """The result of `write`: a process has one memory only."""
        return await write()

    def subscribe(
        self, listener: InvalidationListener, *, prefixes: tuple[str, ...]
    ) -> MemorySubscription:
        """A subscription that notifies the listener of changes to keys with these prefixes."""
        return MemorySubscription(listener, prefixes, self._subscriptions)

    async def check_ready(self) -> None:
        """Return at once: memory is always ready."""

    async def aclose(self) -> None:
        """Delete everything."""
        for collection in (self._values, self._indexes, self._counts, self._expiries):
            collection.clear()

    def _get(self, key: str) -> bytes | None:
        value, expiry = self._values.get(key, (None, 0.0))
        return value if expiry > self._clock() else None

    def _put(self, entry: StoreEntry) -> None:
        expiry = self._clock() + entry.ttl
        self._values[entry.key] = (entry.value, expiry)
        self._notify(entry.key)
        self._expire(entry.key, expiry)

    def _notify(self, key: str) -> None:
        for subscription in self._subscriptions:
            subscription.notify(key)

    def _expire(self, key: str, expiry: float) -> None:
        heapq.heappush(self._expiries, (expiry, key))

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._expiries and self._expiries[0][0] <= now:
            _, key = heapq.heappop(self._expiries)
            for collection in (self._values, self._indexes, self._counts):
                if key in collection and collection[key][1] <= now:
                    del collection[key]


class MemorySubscription:
    """An `InvalidationSubscription` to a `MemoryStore`. The listener is called before the write
    returns, so a cached value is never stale."""

    def __init__(
        self,
        listener: InvalidationListener,
        prefixes: tuple[str, ...],
        subscriptions: list[MemorySubscription],
    ) -> None:
        self._listener = listener
        self._prefixes = prefixes
        self._subscriptions = subscriptions

    def start(self) -> None:
        """Start to notify the listener, unless there are no prefixes."""
        if self._prefixes and self not in self._subscriptions:
            self._subscriptions.append(self)
            self._listener.on_connected(math.inf)

    def notify(self, key: str) -> None:
        """Notify the listener of a changed key, if it has one of the prefixes."""
        if key.startswith(self._prefixes):
            self._listener.on_invalidated((key,))

    async def aclose(self) -> None:
        """Stop notifying the listener."""
        if self in self._subscriptions:
            self._subscriptions.remove(self)
            self._listener.on_disconnected()
