"""Write-behind of last uses: each session's last use is written once per tenth of the idle
timeout, in batches, however many checks and workers use the session.

Decides when a use is written and what follows when it cannot be. Holds no use that the store does
not have, except until the next write.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.lookup import effective_idle_timeout, format_last_use, parse_last_use
from authz_sidecar.sessions.store import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from authz_sidecar.sessions.cache.entries import CachedSession
    from authz_sidecar.sessions.cache.stats import NearCacheStats
    from authz_sidecar.sessions.store import SessionStore

_MAX_DELAY_SECONDS = 0.1
_RECENT_READ_SECONDS = 0.1
_MAX_KEYS_PER_WRITE = 500


class ActivityTracker:
    """Tracks and writes the last uses of cached sessions.

    `idle_timeout`: seconds without use after which a session ends.
    `stats`: counts the writes.
    `entries_named`: returns the cached sessions that depend on a name.
    `drop`: drops a cached session.
    `monotonic`: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        idle_timeout: float,
        stats: NearCacheStats,
        entries_named: Callable[[str], Iterable[CachedSession]],
        drop: Callable[[CachedSession], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._idle_timeout = idle_timeout
        self._stats = stats
        self._entries_named = entries_named
        self._drop = drop
        self._monotonic = monotonic
        self._delay = min(_MAX_DELAY_SECONDS, idle_timeout / 100)
        self._batch = _WriteBatch()
        self._timer: asyncio.TimerHandle | None = None
        self._background = BackgroundTasks()
        self._tasks: set[asyncio.Task[None]] = set()

    def set_last_use(self, entry: CachedSession, last_use: float) -> None:
        """Set the last use that the store has, and with it when the entry is to be renewed."""
        session = entry.session
        entry.last_use = last_use
        entry.renew_at = min(session.expires_at, last_use + self._idle_timeout / 10)
        if session.refresh_at is not None:
            entry.renew_at = min(entry.renew_at, session.refresh_at)

    def is_idle(self, entry: CachedSession, now: float) -> bool:
        """Whether the session has ended at `now`, because it was not used for the idle timeout."""
        return now - entry.last_use >= effective_idle_timeout(entry.session, self._idle_timeout)

    def is_nearly_idle(self, entry: CachedSession, now: float) -> bool:
        """Whether half of the idle timeout has passed, so that a pending write is not enough any
        more."""
        return now - entry.last_use >= effective_idle_timeout(entry.session, self._idle_timeout) / 2

    def is_write_due(self, entry: CachedSession, now: float) -> bool:
        """Whether a use at `now` is to be written, because a tenth of the idle timeout has
        passed."""
        return now - entry.last_use >= self._idle_timeout / 10

    def touch_later(self, entry: CachedSession, now: float) -> None:
        """Schedule a write of this use, together with others."""
        if not entry.is_touch_pending:
            entry.is_touch_pending = True
            self._batch.add(entry, now)
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._delay, self._flush)

    async def touch(self, entry: CachedSession, now: float) -> bool:
        """Write this use, and return when it is written; False when the session is gone. Raises
        `StoreUnavailable`."""
        batch = self._batch
        entry.is_touch_pending = True
        batch.add(entry, now)
        if not batch.is_scheduled:
            batch.is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_if_current, batch)
        await batch.done.wait()
        if batch.error is not None:
            raise StoreUnavailable(str(batch.error)) from batch.error
        return _root_id(entry) not in batch.missing_names

    async def aclose(self) -> None:
        """Write what is pending, and wait for it."""
        if self._batch.uses:
            self._flush()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _flush_if_current(self, batch: _WriteBatch) -> None:
        if batch is self._batch:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch = self._batch, _WriteBatch()
        task = self._background.start(self._write_batch(batch), name="last uses")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_batch(self, batch: _WriteBatch) -> None:
        try:
            names = tuple(batch.uses)
            for start in range(0, len(names), _MAX_KEYS_PER_WRITE):
                await self._write_names(batch, names[start : start + _MAX_KEYS_PER_WRITE])
            batch.error = None
        except StoreUnavailable as error:
            batch.error = error
        finally:
            for entries, _ in batch.uses.values():
                for entry in entries:
                    entry.is_touch_pending = False
            batch.done.set()

    async def _write_names(self, batch: _WriteBatch, names: tuple[str, ...]) -> None:
        stored = await self._stored_last_uses(batch, names)
        writes = []
        for name in names:
            entries, used_at = batch.uses[name]
            if used_at - stored[name] < self._idle_timeout / 10:
                self._set_last_uses(entries, stored[name])
                continue
            expires_at = max(entry.session.expires_at for entry in entries)
            ttl = min(
                effective_idle_timeout(entries[0].session, self._idle_timeout), expires_at - used_at
            )
            writes.append(StoreEntry(keys.last_use_key(name), format_last_use(used_at), ttl))
        results = await self._store.write_all_if_present(*writes) if writes else ()
        self._stats.touches += len(writes)
        for name, still_exists in zip(
            (keys.name_from_key(write.key) for write in writes), results, strict=True
        ):
            entries, used_at = batch.uses[name]
            # Also the entries that were not used: they share the last use of their sign-in.
            all_entries = {*entries, *self._entries_named(name)}
            if still_exists:
                self._set_last_uses(all_entries, used_at)
            else:
                batch.missing_names.add(name)
                for entry in all_entries:
                    self._drop(entry)

    async def _stored_last_uses(
        self, batch: _WriteBatch, names: tuple[str, ...]
    ) -> dict[str, float]:
        """The last uses that the store has by now: another worker may have written one already."""
        stored: dict[str, float] = {}
        fresh_since = self._monotonic() - _RECENT_READ_SECONDS
        for name in names:
            entries, _ = batch.uses[name]
            newest = max(entries, key=lambda entry: entry.verified_at)
            if newest.verified_at > fresh_since:
                stored[name] = newest.last_use
        missing = [name for name in names if name not in stored]
        if missing:
            values = await self._store.read(*map(keys.last_use_key, missing))
            for name, value in zip(missing, values, strict=True):
                stored[name] = parse_last_use(value) or 0.0
        return stored

    def _set_last_uses(self, entries: Iterable[CachedSession], last_use: float) -> None:
        for entry in entries:
            self.set_last_use(entry, last_use)


class _WriteBatch:
    """Uses that are written together; a session and its children count as one."""

    def __init__(self) -> None:
        self.uses: dict[str, tuple[list[CachedSession], float]] = {}
        self.is_scheduled = False
        self.done = asyncio.Event()
        self.error: StoreUnavailable | None = StoreUnavailable("a last use was not written")
        self.missing_names: set[str] = set()

    def add(self, entry: CachedSession, now: float) -> None:
        entries, latest = self.uses.get(_root_id(entry), ([], now))
        if entry not in entries:
            entries.append(entry)
        self.uses[_root_id(entry)] = (entries, max(latest, now))


def _root_id(entry: CachedSession) -> str:
    return entry.session.parent_id or entry.session.public_id
