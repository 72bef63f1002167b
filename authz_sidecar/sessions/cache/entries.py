"""Entries of the near cache: sessions by cookie value, indexed by the names they depend on, within
limits of number and memory.

Pure; decides what is evicted, never what may be served. Memory is estimated in a few microseconds
per session: the sizes are CPython's on 64 bits, and a test compares them with real allocations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.core.types import Session


# The entry, its token, the session and the identity, and their slots in tables.
_SESSION_BYTES = 500
_NAME_BYTES = 150  # one name that the entry is indexed under
_TEXT_BYTES = 52
_LIST_BYTES = 64
_MAPPING_BYTES = 184
_ELEMENT_BYTES = 8
_PAIR_BYTES = 40  # of a mapping; its key is interned


def estimate_weight(session: Session, *, names: int) -> int:
    """The estimated memory of a cached session that is indexed under so many names, in bytes."""
    identity = session.identity
    own = (
        session.provider_session,
        identity.subject,
        identity.email,
        identity.name,
        identity.amr,
        identity.claims,
    )
    # Groups are shared, as scope, provider and issuer are.
    shared = _LIST_BYTES + _ELEMENT_BYTES * len(identity.groups)
    return _SESSION_BYTES + _NAME_BYTES * names + shared + _estimate_values(own)


def _estimate_value(value: object) -> int:
    if isinstance(value, str):
        return _TEXT_BYTES + len(value)
    if isinstance(value, dict):
        return _MAPPING_BYTES + _PAIR_BYTES * len(value) + _estimate_values(value.values())
    if isinstance(value, list | tuple):
        return _LIST_BYTES + _ELEMENT_BYTES * len(value) + _estimate_values(value)
    return 0 if value is None or isinstance(value, bool) else 32


def _estimate_values(values: Iterable[object]) -> int:
    total = 0
    for value in values:
        total += _TEXT_BYTES + len(value) if isinstance(value, str) else _estimate_value(value)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class NearCacheLimits:
    """The maximum number and total weight (bytes) of the entries of one worker."""

    max_entries: int = 100_000
    max_bytes: int = 128 << 20


class CachedSession:
    """A verified session in memory.

    `names`: the names of the keys that its validity depends on.
    `epoch`: the epoch of `Coherence` in which it was verified.
    `verified_at`: when it was verified, in seconds of the monotonic clock.
    `weight`: its estimated memory in bytes.
    `last_use`: its last use in the store, in seconds since the epoch.
    `renew_at`: when more than a lookup is needed, in seconds since the epoch.
    `is_touch_pending`: whether a use is about to be written.
    `is_referenced`: the reference bit of the clock algorithm.
    `ring_index`: its position in the ring of `CacheEntries`; -1 when it is not cached.
    """

    __slots__ = (
        "_derived",
        "epoch",
        "is_referenced",
        "is_touch_pending",
        "last_use",
        "names",
        "renew_at",
        "ring_index",
        "session",
        "token",
        "verified_at",
        "weight",
    )

    def __init__(
        self,
        session: Session,
        *,
        token: str,
        names: tuple[str, ...],
        epoch: int,
        verified_at: float,
    ) -> None:
        self.session = session
        self.token = token
        self.names = names
        self.epoch = epoch
        self.verified_at = verified_at
        self.weight = estimate_weight(session, names=len(names))
        # Set by `ActivityTracker`.
        self.last_use = self.renew_at = 0.0
        self.is_touch_pending = False
        # Set by `CacheEntries`.
        self.is_referenced = False
        self.ring_index = -1
        self._derived: dict[object, object] | None = None

    @property
    def derived(self) -> dict[object, object]:
        """Values that callers derive from the session; they are dropped with the entry."""
        if self._derived is None:
            self._derived = {}
        return self._derived


class InFlightFetch:
    """A running fetch of a session.

    `names`: the names of the keys that it depends on.
    `invalidated`: whether one of those keys has changed since it was read.
    """

    __slots__ = ("epoch", "invalidated", "names", "started_at")

    def __init__(self, *, epoch: int, started_at: float) -> None:
        self.epoch = epoch
        self.started_at = started_at
        self.names: list[str] = []
        self.invalidated = False


Watcher = CachedSession | InFlightFetch


class CacheEntries:
    """The entries, bounded in number and weight, with eviction by the clock algorithm (second
    chance): a hit sets one bit and moves nothing."""

    def __init__(self, limits: NearCacheLimits) -> None:
        self._limits = limits
        self._by_token: dict[str, CachedSession] = {}
        self._ring: list[CachedSession] = []
        self._hand = 0
        # Most names have one watcher: a set for each would take most of the memory.
        self._by_name: dict[str, Watcher | set[Watcher]] = {}
        self.weight = 0
        self.get = self._by_token.get

    def __len__(self) -> int:
        return len(self._ring)

    def watch(self, fetch: InFlightFetch, names: Iterable[str]) -> None:
        """Index a fetch under the names that it depends on."""
        for name in names:
            fetch.names.append(name)
            self._register(name, fetch)

    def unwatch(self, fetch: InFlightFetch) -> None:
        """Remove a fetch from the index of names."""
        for name in fetch.names:
            self._unregister(name, fetch)

    def watchers_of(self, name: str) -> tuple[Watcher, ...]:
        """The entries and fetches that depend on a name."""
        registered = self._by_name.get(name)
        if registered is None:
            return ()
        return tuple(registered) if isinstance(registered, set) else (registered,)

    def entries_named(self, name: str) -> tuple[CachedSession, ...]:
        """The entries that depend on a name."""
        return tuple(
            watcher for watcher in self.watchers_of(name) if isinstance(watcher, CachedSession)
        )

    def names(self) -> tuple[str, ...]:
        """All names that entries and fetches depend on."""
        return tuple(self._by_name)

    def put(self, entry: CachedSession) -> int:
        """Insert an entry in place of the one with its token, and return how many others were
        evicted. An entry that exceeds the limits by itself is not inserted."""
        self.drop(self._by_token.get(entry.token))
        evicted = 0
        if entry.weight <= self._limits.max_bytes and self._limits.max_entries:
            while self._ring and not self._room_for(entry):
                self._evict()
                evicted += 1
            self._insert(entry)
        return evicted

    def add_weight(self, entry: CachedSession, size: int) -> None:
        """Add `size` bytes to the weight of an entry, and evict others if the total exceeds the
        limit."""
        if entry.ring_index >= 0:
            entry.weight += size
            self.weight += size
            while self.weight > self._limits.max_bytes:
                self._evict()

    def drop(self, entry: CachedSession | None) -> None:
        """Remove an entry, if it is cached."""
        if entry is None or entry.ring_index < 0:
            return
        last = self._ring.pop()
        if last is not entry:
            self._ring[entry.ring_index] = last
            last.ring_index = entry.ring_index
        entry.ring_index = -1
        del self._by_token[entry.token]
        self.weight -= entry.weight
        for name in entry.names:
            self._unregister(name, entry)

    def clear(self) -> None:
        """Remove all entries."""
        for entry in tuple(self._ring):
            self.drop(entry)

    def _insert(self, entry: CachedSession) -> None:
        self._by_token[entry.token] = entry
        entry.ring_index = len(self._ring)
        self._ring.append(entry)
        self.weight += entry.weight
        for name in entry.names:
            self._register(name, entry)

    def _room_for(self, entry: CachedSession) -> bool:
        limits = self._limits
        return (
            len(self._ring) < limits.max_entries and self.weight + entry.weight <= limits.max_bytes
        )

    def _evict(self) -> None:
        while True:
            if self._hand >= len(self._ring):
                self._hand = 0
            entry = self._ring[self._hand]
            if not entry.is_referenced:
                self.drop(entry)
                return
            entry.is_referenced = False
            self._hand += 1

    def _register(self, name: str, watcher: Watcher) -> None:
        registered = self._by_name.get(name)
        if registered is None:
            self._by_name[name] = watcher
        elif isinstance(registered, set):
            registered.add(watcher)
        elif registered is not watcher:
            self._by_name[name] = {registered, watcher}

    def _unregister(self, name: str, watcher: Watcher) -> None:
        registered = self._by_name.get(name)
        if registered is watcher:
            del self._by_name[name]
        elif isinstance(registered, set):
            registered.discard(watcher)
            if len(registered) == 1:
                self._by_name[name] = registered.pop()
