"""Fetches of sessions from the store: one for all who want the same session at the same moment, and
kept only if nothing that it looked at has changed meanwhile.

The news of a change can overtake the answer that it belongs to. So whoever fetches says first what
it is about to look at, and the news spoils the fetch.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.sessions.near.entries import Fetching, NearEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from authz_sidecar.sessions.finding import Finder
    from authz_sidecar.sessions.near.coherence import Coherence
    from authz_sidecar.sessions.near.counts import NearCounts
    from authz_sidecar.sessions.near.entries import Entries
    from authz_sidecar.sessions.near.lastuse import LastUses

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
        self._running: dict[str, tuple[Fetching, asyncio.Task[NearEntry | None]]] = {}

    async def fetch(self, token: str) -> NearEntry | None:
        """The session of this cookie as the store has it, standing; it may be idle. Raises
        `StoreUnavailable`."""
        now = self._monotonic()
        running = self._running.get(token)
        if running is None or running[0].spoilt or now - running[0].began > _OLDEST_TO_JOIN:
            running = self._begin(token, now)
        # Whoever goes away takes only himself away.
        return await asyncio.shield(running[1])

    async def aclose(self) -> None:
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, token: str, now: float) -> tuple[Fetching, asyncio.Task[NearEntry | None]]:
        fetching = Fetching(epoch=self._coherence.epoch, began=now)
        task = asyncio.get_running_loop().create_task(self._fetch(token, fetching))
        task.add_done_callback(_looked_at)
        self._running[token] = fetching, task
        self._counts.misses += 1
        return fetching, task

    async def _fetch(self, token: str, fetching: Fetching) -> NearEntry | None:
        def before(names: Iterable[str]) -> None:
            self._entries.watch(fetching, names)

        try:
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
        finally:
            self._entries.unwatch(fetching)
            if token in self._running and self._running[token][0] is fetching:
                del self._running[token]

    def _keep(self, entry: NearEntry, fetching: Fetching) -> None:
        same = self._coherence.tracked and fetching.epoch == self._coherence.epoch
        if fetching.spoilt or not (same or (self._keep_suspect and not self._coherence.refused)):
            self._entries.drop(self._entries.get(entry.token))
        else:
            self._counts.evictions += self._entries.put(entry)


def _looked_at(task: asyncio.Task[NearEntry | None]) -> None:
    """Everybody who waited may have gone by the time it fails."""
    if not task.cancelled():
        task.exception()
