"""Single-flight fetches of sessions from the store: concurrent requests for one session share one
fetch, and its result is cached only if no key that it depends on has changed meanwhile.

An invalidation can arrive before the value that it belongs to. Each fetch therefore announces the
keys it depends on before it reads them, and an invalidation of any of them marks the fetch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.sessions.cache.entries import CachedSession, InFlightFetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from authz_sidecar.sessions.cache.activity import ActivityTracker
    from authz_sidecar.sessions.cache.entries import CacheEntries
    from authz_sidecar.sessions.cache.invalidation import Coherence
    from authz_sidecar.sessions.cache.stats import NearCacheStats
    from authz_sidecar.sessions.lookup import SessionLookup

_MAX_JOIN_AGE_SECONDS = 0.5
"""A later request starts its own fetch: a result must not be much older than the request for it."""


class SingleFlightFetcher:
    """Fetches sessions and puts them into the cache.

    `lookup`: reads and verifies sessions.
    `entries`: the cache.
    `coherence`: says whether changes are reported.
    `activity`: holds the last use of each entry.
    `stats`: counts misses and evictions.
    `keep_unconfirmed`: whether a session is cached while changes are not reported, to be served
        within the grace period only.
    `monotonic`: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        lookup: SessionLookup,
        *,
        entries: CacheEntries,
        coherence: Coherence,
        activity: ActivityTracker,
        stats: NearCacheStats,
        keep_unconfirmed: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self._lookup = lookup
        self._entries = entries
        self._coherence = coherence
        self._activity = activity
        self._stats = stats
        self._keep_unconfirmed = keep_unconfirmed
        self._monotonic = monotonic
        self._running: dict[str, _SharedFetch] = {}

    async def fetch(self, token: str) -> CachedSession | None:
        """The valid session of a cookie value as the store has it; it may be idle. None without
        one. Raises `StoreUnavailable`."""
        while True:
            now = self._monotonic()
            shared = self._running.get(token)
            epoch = self._coherence.epoch
            if shared is None or not shared.is_joinable(now, epoch=epoch):
                return await self._fetch_as_leader(token, now)
            # `shield`: cancelling one waiter must not cancel the shared future.
            result = await asyncio.shield(shared.result())
            if not isinstance(result, _Cancelled):
                return result

    async def _fetch_as_leader(self, token: str, now: float) -> CachedSession | None:
        """Fetch in the caller's own task: most fetches are not shared, and a task costs as much as
        a round trip."""
        fetch = InFlightFetch(epoch=self._coherence.epoch, started_at=now)
        shared = self._running[token] = _SharedFetch(fetch)
        self._stats.misses += 1
        try:
            entry = await self._fetch(token, fetch)
        except Exception as error:
            shared.set_exception(error)
            raise
        except BaseException:
            shared.set_result(_CANCELLED)
            raise
        else:
            shared.set_result(entry)
            return entry
        finally:
            self._entries.unwatch(fetch)
            if self._running.get(token) is shared:
                del self._running[token]

    async def _fetch(self, token: str, fetch: InFlightFetch) -> CachedSession | None:
        def watch_keys(names: Iterable[str]) -> None:
            self._entries.watch(fetch, names)

        fetched = await self._lookup.fetch(token, watch_keys=watch_keys)
        last_use = None
        if fetched is not None:
            last_use = await self._lookup.last_use_if_valid(fetched, watch_keys=watch_keys)
        if fetched is None or last_use is None:
            self._entries.drop(self._entries.get(token))
            return None
        entry = CachedSession(
            fetched.record.session,
            token=token,
            names=tuple(fetch.names),
            epoch=fetch.epoch,
            verified_at=fetch.started_at,
        )
        self._activity.set_last_use(entry, last_use)
        self._cache(entry, fetch)
        return entry

    def _cache(self, entry: CachedSession, fetch: InFlightFetch) -> None:
        is_current = self._coherence.is_tracking and fetch.epoch == self._coherence.epoch
        if fetch.invalidated or not (
            is_current or (self._keep_unconfirmed and not self._coherence.is_unsupported)
        ):
            self._entries.drop(self._entries.get(entry.token))
        else:
            self._stats.evictions += self._entries.put(entry)


class _Cancelled:
    """The result of a fetch whose leader was cancelled."""


_CANCELLED = _Cancelled()


class _SharedFetch:
    """A running fetch, and the future of those who joined it."""

    __slots__ = ("_result", "fetch")

    def __init__(self, fetch: InFlightFetch) -> None:
        self.fetch = fetch
        self._result: asyncio.Future[CachedSession | _Cancelled | None] | None = None

    def is_joinable(self, now: float, *, epoch: int) -> bool:
        fetch = self.fetch
        is_valid = fetch.epoch == epoch and not fetch.invalidated
        return is_valid and now - fetch.started_at <= _MAX_JOIN_AGE_SECONDS

    def result(self) -> asyncio.Future[CachedSession | _Cancelled | None]:
        if self._result is None:
            self._result = asyncio.get_running_loop().create_future()
        return self._result

    def set_result(self, result: CachedSession | _Cancelled | None) -> None:
        if self._result is not None:
            self._result.set_result(result)

    def set_exception(self, error: Exception) -> None:
        if self._result is not None:
            self._result.set_exception(error)
            self._result.exception()  # retrieved, since all waiters may have been cancelled
