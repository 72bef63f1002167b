"""When sessions in memory were last used, as the store will be told: once per session and tenth of
the idle time-out, however many checks there are and whoever else serves it, many in one write.

Decides when a use is written and what it means when it cannot be; forgets nothing that the store
does not know, except for the moment until the next write.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.lookup import idle_after, read_time, write_time
from authz_sidecar.sessions.store import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from authz_sidecar.sessions.cache.entries import NearEntry
    from authz_sidecar.sessions.cache.stats import NearCounts
    from authz_sidecar.sessions.store import SessionStore

_LONGEST_DELAY = 0.1
_JUST_READ = 0.1
_AT_ONCE = 500


class LastUses:
    def __init__(
        self,
        store: SessionStore,
        *,
        idle_timeout: float,
        counts: NearCounts,
        sharing: Callable[[str], Iterable[NearEntry]],
        gone: Callable[[NearEntry], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._idle_timeout = idle_timeout
        self._counts = counts
        self._sharing = sharing
        self._gone = gone
        self._monotonic = monotonic
        self._delay = min(_LONGEST_DELAY, idle_timeout / 100)
        self._round = _Round()
        self._timer: asyncio.TimerHandle | None = None
        self._background = BackgroundTasks()
        self._tasks: set[asyncio.Task[None]] = set()

    def known(self, entry: NearEntry, last_use: float) -> None:
        """The store has this last use of it."""
        session = entry.session
        entry.last_use = last_use
        entry.renew_at = min(session.expires_at, last_use + self._idle_timeout / 10)
        if session.refresh_at is not None:
            entry.renew_at = min(entry.renew_at, session.refresh_at)

    def idle(self, entry: NearEntry, now: float) -> bool:
        return now - entry.last_use >= idle_after(entry.session, self._idle_timeout)

    def nearly_idle(self, entry: NearEntry, now: float) -> bool:
        """Too late to rely on a write that is yet to come."""
        return now - entry.last_use >= idle_after(entry.session, self._idle_timeout) / 2

    def is_due(self, entry: NearEntry, now: float) -> bool:
        return now - entry.last_use >= self._idle_timeout / 10

    def note(self, entry: NearEntry, now: float) -> None:
        """To be written in a moment, with others."""
        if not entry.touching:
            entry.touching = True
            self._round.add(entry, now)
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._delay, self._begin)

    async def touch(self, entry: NearEntry, now: float) -> bool:
        """Written when this returns; False when the session is gone. Raises `StoreUnavailable`."""
        this = self._round
        entry.touching = True
        this.add(entry, now)
        if not this.urgent:
            this.urgent = True
            asyncio.get_running_loop().call_soon(self._begin_if, this)
        await this.over.wait()
        if this.error is not None:
            raise StoreUnavailable(str(this.error)) from this.error
        return _keeper(entry) not in this.gone

    async def aclose(self) -> None:
        """What was noted is still written."""
        if self._round.used:
            self._begin()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin_if(self, this: _Round) -> None:
        if this is self._round:
            self._begin()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        this, self._round = self._round, _Round()
        task = self._background.start(self._write(this), name="last uses")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, this: _Round) -> None:
        try:
            names = tuple(this.used)
            for at in range(0, len(names), _AT_ONCE):
                await self._write_some(this, names[at : at + _AT_ONCE])
            this.error = None
        except StoreUnavailable as error:
            this.error = error
        finally:
            for entries, _ in this.used.values():
                for entry in entries:
                    entry.touching = False
            this.over.set()

    async def _write_some(self, this: _Round, names: tuple[str, ...]) -> None:
        stored = await self._stored(this, names)
        writes = []
        for name in names:
            entries, used_at = this.used[name]
            if used_at - stored[name] < self._idle_timeout / 10:
                self._all_known(entries, stored[name])
                continue
            ends = max(entry.session.expires_at for entry in entries)
            ttl = min(idle_after(entries[0].session, self._idle_timeout), ends - used_at)
            writes.append(Entry(keys.last_use_key(name), write_time(used_at), ttl))
        kept = await self._store.rewrite_all(*writes) if writes else ()
        self._counts.touches += len(writes)
        for name, stands in zip((keys.name_of(write.key) for write in writes), kept, strict=True):
            entries, used_at = this.used[name]
            # Also those who were not asked for meanwhile: what is known of one is known of all.
            everybody = {*entries, *self._sharing(name)}
            if stands:
                self._all_known(everybody, used_at)
            else:
                this.gone.add(name)
                for entry in everybody:
                    self._gone(entry)

    async def _stored(self, this: _Round, names: tuple[str, ...]) -> dict[str, float]:
        """What the store has by now: another worker may have written what we were about to."""
        stored: dict[str, float] = {}
        fresh_since = self._monotonic() - _JUST_READ
        for name in names:
            entries, _ = this.used[name]
            newest = max(entries, key=lambda entry: entry.verified_at)
            if newest.verified_at > fresh_since:
                stored[name] = newest.last_use
        asked = [name for name in names if name not in stored]
        if asked:
            values = await self._store.read(*map(keys.last_use_key, asked))
            for name, value in zip(asked, values, strict=True):
                stored[name] = read_time(value) or 0.0
        return stored

    def _all_known(self, entries: Iterable[NearEntry], last_use: float) -> None:
        for entry in entries:
            self.known(entry, last_use)


class _Round:
    """Uses that are written together; a session and its children count as one."""

    def __init__(self) -> None:
        self.used: dict[str, tuple[list[NearEntry], float]] = {}
        self.urgent = False
        self.over = asyncio.Event()
        self.error: StoreUnavailable | None = StoreUnavailable("a last use was not written")
        self.gone: set[str] = set()

    def add(self, entry: NearEntry, now: float) -> None:
        entries, latest = self.used.get(_keeper(entry), ([], now))
        if entry not in entries:
            entries.append(entry)
        self.used[_keeper(entry)] = (entries, max(latest, now))


def _keeper(entry: NearEntry) -> str:
    return entry.session.parent or entry.session.handle
