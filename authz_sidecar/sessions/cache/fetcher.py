"""Fetches of sessions from the store: one for all who want the same session at the same moment, and
kept only if nothing that it looked at has changed meanwhile.

The news of a change can overtake the answer that it belongs to. So whoever fetches says first what
it is about to look at, and the news spoils the fetch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.sessions.cache.entries import Fetching, NearEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from authz_sidecar.sessions.cache.activity import LastUses
    from authz_sidecar.sessions.cache.entries import Entries
    from authz_sidecar.sessions.cache.invalidation import Coherence
    from authz_sidecar.sessions.cache.stats import NearCounts
    from authz_sidecar.sessions.lookup import Finder

_OLDEST_TO_JOIN = 0.5
"""Whoever comes later asks anew: an answer must not be much older than its question."""


class Fetches:
    """`keep_suspect`: whether sessions are kept that cannot be relied on, for a time of grace."""

    def __init__(
        self,
        finder: Finder,
        *,
        entries: Entries,
        coherence: Coherence,
        last_uses: LastUses,
        counts: NearCounts,
        keep_suspect: bool,
        monotonic: Callable[[], float],
    ) -> None:
        self._finder = finder
        self._entries = entries
        self._coherence = coherence
        self._last_uses = last_uses
        self._counts = counts
        self._keep_suspect = keep_suspect
        self._monotonic = monotonic
        self._running: dict[str, _Running] = {}

    async def fetch(self, token: str) -> NearEntry | None:
        """The session of this cookie as the store has it, standing; it may be idle. Raises
        `StoreUnavailable`."""
        while True:
            now = self._monotonic()
            running = self._running.get(token)
            epoch = self._coherence.epoch
            if running is None or not running.may_be_joined(now, epoch=epoch):
                return await self._lead(token, now)
            # Whoever goes away takes only himself away.
            answer = await asyncio.shield(running.joined())
            if not isinstance(answer, _Gone):
                return answer

    async def _lead(self, token: str, now: float) -> NearEntry | None:
        """In the caller's own task: most come alone, and a task costs as much as a round trip."""
        fetching = Fetching(epoch=self._coherence.epoch, began=now)
        running = self._running[token] = _Running(fetching)
        self._counts.misses += 1
        try:
            entry = await self._fetch(token, fetching)
        except Exception as error:
            running.failed(error)
            raise
        except BaseException:
            running.answered(_GONE)
            raise
        else:
            running.answered(entry)
            return entry
        finally:
            self._entries.unwatch(fetching)
            if self._running.get(token) is running:
                del self._running[token]

    async def _fetch(self, token: str, fetching: Fetching) -> NearEntry | None:
        def before(names: Iterable[str]) -> None:
            self._entries.watch(fetching, names)

        fetched = await self._finder.fetch(token, before=before)
        last_use = None
        if fetched is not None:
            last_use = await self._finder.standing(fetched, before=before)
        if fetched is None or last_use is None:
            self._entries.drop(self._entries.get(token))
            return None
        entry = NearEntry(
            fetched.record.session,
            token=token,
            names=tuple(fetching.names),
            epoch=fetching.epoch,
            verified_at=fetching.began,
        )
        self._last_uses.known(entry, last_use)
        self._keep(entry, fetching)
        return entry

    def _keep(self, entry: NearEntry, fetching: Fetching) -> None:
        same = self._coherence.tracked and fetching.epoch == self._coherence.epoch
        if fetching.spoilt or not (same or (self._keep_suspect and not self._coherence.refused)):
            self._entries.drop(self._entries.get(entry.token))
        else:
            self._counts.evictions += self._entries.put(entry)


class _Gone:
    """Instead of an answer: whoever fetched has been cancelled."""


_GONE = _Gone()


class _Running:
    """A fetch, and what those are told who came while it was under way."""

    __slots__ = ("_answer", "fetching")

    def __init__(self, fetching: Fetching) -> None:
        self.fetching = fetching
        self._answer: asyncio.Future[NearEntry | _Gone | None] | None = None

    def may_be_joined(self, now: float, *, epoch: int) -> bool:
        fetching = self.fetching
        fits = fetching.epoch == epoch and not fetching.spoilt
        return fits and now - fetching.began <= _OLDEST_TO_JOIN

    def joined(self) -> asyncio.Future[NearEntry | _Gone | None]:
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def answered(self, answer: NearEntry | _Gone | None) -> None:
        if self._answer is not None:
            self._answer.set_result(answer)

    def failed(self, error: Exception) -> None:
        if self._answer is not None:
            self._answer.set_exception(error)
            self._answer.exception()  # looked at, though everybody who waited may have gone
