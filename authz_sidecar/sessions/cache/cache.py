"""The near cache: serves sessions from memory while they are certain to be valid, otherwise from
the store.

Decides when a cached session may be served. Other modules decide whether a session is valid
(`sessions/lookup.py`), how changes are reported (the store), what is cached (`fetcher`) and what
is evicted (`entries`).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cache.activity import ActivityTracker
from authz_sidecar.sessions.cache.batching import BatchingReader
from authz_sidecar.sessions.cache.entries import CachedSession, CacheEntries, NearCacheLimits
from authz_sidecar.sessions.cache.fetcher import SingleFlightFetcher
from authz_sidecar.sessions.cache.invalidation import Coherence, InvalidationHandler
from authz_sidecar.sessions.cache.stats import NearCacheStats
from authz_sidecar.sessions.cookie import is_well_formed_token
from authz_sidecar.sessions.lookup import SessionLookup
from authz_sidecar.sessions.record_sealing import RecordSealer

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Session
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.store import SessionStore

_RETRY_SECONDS = 1.0
_PROBE_SECONDS = 3.0


class NearCache:
    """A cache of sessions in front of a store.

    `idle_timeout`: seconds without use after which a session ends.
    `grace`: seconds for which a cached session is served while the store is unreachable.
    `limits`: the size of the cache.
    `stats`: counters, which outlive a reload of the configuration.
    `clock`: the time of day, in seconds since the epoch.
    `monotonic`: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        secret_keys: SecretKeys,
        idle_timeout: float,
        grace: float = 0.0,
        limits: NearCacheLimits | None = None,
        stats: NearCacheStats | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stats = stats = NearCacheStats() if stats is None else stats
        self._grace = grace
        self._clock = clock
        self._monotonic = monotonic
        self._limits = NearCacheLimits() if limits is None else limits
        self._entries = entries = CacheEntries(self._limits)
        self._coherence = coherence = Coherence()
        self._unreachable_until = -math.inf
        self._activity = ActivityTracker(
            store,
            idle_timeout=idle_timeout,
            stats=stats,
            entries_named=entries.entries_named,
            drop=entries.drop,
            monotonic=monotonic,
        )
        self._fetcher = SingleFlightFetcher(
            SessionLookup(
                BatchingReader(store), keys.KeyNames(secret_keys), RecordSealer(secret_keys)
            ),
            entries=entries,
            coherence=coherence,
            activity=self._activity,
            stats=stats,
            keep_unconfirmed=grace > 0,
            monotonic=monotonic,
        )
        handler = InvalidationHandler(entries=entries, coherence=coherence, stats=stats)
        self._subscription = store.subscribe(
            handler, prefixes=keys.VALIDITY_PREFIXES if self._limits.max_entries else ()
        )

    def start(self) -> None:
        """Subscribe to changes in the background; until that succeeds, `fetch` reads the store."""
        self._subscription.start()

    async def aclose(self) -> None:
        """End the subscription, write pending last uses and drop all entries."""
        await self._subscription.aclose()
        await self._activity.aclose()
        self._entries.clear()

    def lookup(self, token: str, *, scope: str, provider: str, now: float) -> CachedSession | None:
        """The cached entry of the active session with this cookie value, without I/O. Counts as
        its use, which is written later. None says nothing about the session."""
        entry = self._entries.get(token)
        if entry is None or _if_scope_matches(entry, scope, provider) is None:
            return None
        return entry if self.is_current(entry, now) else None

    def is_current(self, entry: CachedSession, now: float) -> bool:
        """Whether an entry that `lookup` returned may still be served. Counts as a use, as
        `lookup` does."""
        coherence = self._coherence
        if (
            entry.ring_index < 0
            or entry.epoch != coherence.epoch
            or self._monotonic() >= coherence.fresh_until
        ):
            return False
        if now >= entry.renew_at:
            if self._needs_store(entry, now):
                return False
            if self._activity.is_write_due(entry, now):
                self._activity.touch_later(entry, now)
        entry.is_referenced = True
        self.stats.hits += 1
        return True

    def add_weight(self, entry: CachedSession, size: int) -> None:
        """Count `size` bytes for what was put into `entry.derived`."""
        self._entries.add_weight(entry, size)

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """The active session of a cookie value for this scope and provider; None without one.
        Counts as its use. Raises `StoreUnavailable`."""
        entry = await self.fetch(token, scope=scope, provider=provider)
        return None if entry is None else entry.session

    async def fetch(self, token: str, *, scope: str, provider: str) -> CachedSession | None:
        """As `find`, but the entry, which may or may not be cached. Raises `StoreUnavailable`."""
        if not is_well_formed_token(token):
            return None
        try:
            entry = self._certain_entry(token)
            if entry is None and self._skip_store():
                entry = self._entry_in_grace(token)
                if entry is not None:
                    return _if_scope_matches(entry, scope, provider)
            entry = entry or await self._fetch_entry(token)
            if entry is None or _if_scope_matches(entry, scope, provider) is None:
                return None
            now = self._clock()
            if self._activity.is_write_due(entry, now) and not await self._touch(entry, now):
                return None
        except StoreUnavailable:
            self._unreachable_until = self._monotonic() + _RETRY_SECONDS
            entry = self._entry_in_grace(token)
            if entry is None:
                raise
        return _if_scope_matches(entry, scope, provider)

    @property
    def is_store_down(self) -> bool:
        """Whether the store failed a moment ago."""
        return self._monotonic() < self._unreachable_until

    @property
    def coherent(self) -> bool:
        """Whether changes are reported now, so that sessions may be served from memory."""
        return self._monotonic() < self._coherence.fresh_until

    @property
    def refused(self) -> bool:
        """Whether the store does not report changes, so that nothing is cached."""
        return self._coherence.is_unsupported

    @property
    def entries(self) -> int:
        """The number of cached sessions."""
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """The estimated memory of the cached sessions, in bytes."""
        return self._entries.weight

    def _certain_entry(self, token: str) -> CachedSession | None:
        entry = self._entries.get(token)
        if entry is None or not self._is_fresh(entry) or not self._is_active(entry):
            return None
        entry.is_referenced = True
        self.stats.hits += 1
        return entry

    def _skip_store(self) -> bool:
        """Whether the store failed so recently that callers do not wait for it. After
        `_RETRY_SECONDS`, one caller per `_PROBE_SECONDS` tries it."""
        now = self._monotonic()
        if now < self._unreachable_until:
            return True
        if self._unreachable_until > -math.inf:
            self._unreachable_until = now + _PROBE_SECONDS
        return False

    async def _fetch_entry(self, token: str) -> CachedSession | None:
        entry = await self._fetcher.fetch(token)
        self._unreachable_until = -math.inf
        if entry is not None and not self._is_active(entry):
            self._entries.drop(entry)
            return None
        return entry

    async def _touch(self, entry: CachedSession, now: float) -> bool:
        try:
            return await self._activity.touch(entry, now)
        except StoreUnavailable:
            if self._is_fresh(entry) and not self._activity.is_nearly_idle(entry, now):
                return True  # as `lookup` would have served it
            raise

    def _entry_in_grace(self, token: str) -> CachedSession | None:
        entry = self._entries.get(token)
        if entry is None or not self._is_active(entry):
            return None
        last_confirmed_at = max(entry.verified_at, self._coherence.last_confirmed_at(entry.epoch))
        if self._monotonic() - last_confirmed_at >= self._grace:
            return None
        self.stats.graced += 1
        return entry

    def _is_fresh(self, entry: CachedSession) -> bool:
        coherence = self._coherence
        return entry.epoch == coherence.epoch and self._monotonic() < coherence.fresh_until

    def _needs_store(self, entry: CachedSession, now: float) -> bool:
        """Whether memory alone cannot renew the entry: it has expired, or needs a refresh or a
        write now."""
        session = entry.session
        refresh = session.needs_refresh(now)
        return refresh or now >= session.expires_at or self._activity.is_nearly_idle(entry, now)

    def _is_active(self, entry: CachedSession) -> bool:
        now = self._clock()
        return now < entry.session.expires_at and not self._activity.is_idle(entry, now)


def _if_scope_matches(entry: CachedSession, scope: str, provider: str) -> CachedSession | None:
    session = entry.session
    return entry if session.scope == scope and session.identity.provider == provider else None
