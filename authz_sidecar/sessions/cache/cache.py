"""Sessions served from memory while that is certain to be right, and from the store otherwise.

Decides when what is in memory may be used. Not decided here: whether a session stands (`finding`),
how we hear of changes (the store), what is kept (`fetches`) and what there is room for (`entries`).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cache.activity import LastUses
from authz_sidecar.sessions.cache.batching import GatheredReads
from authz_sidecar.sessions.cache.entries import Entries, NearEntry, NearLimits
from authz_sidecar.sessions.cache.fetcher import Fetches
from authz_sidecar.sessions.cache.invalidation import Coherence, NewsOfChanges
from authz_sidecar.sessions.cache.stats import NearCounts
from authz_sidecar.sessions.cookie import is_token
from authz_sidecar.sessions.lookup import Finder
from authz_sidecar.sessions.record_sealing import Envelopes

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Session
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.store import SessionStore

_UNREACHABLE_SECONDS = 1.0
_PROBE_SECONDS = 3.0


class NearCache:
    """`clock` tells the time of day, `monotonic` only how much of it has passed. `grace` is how
    long a session in memory may be used while the store is away."""

    def __init__(
        self,
        store: SessionStore,
        *,
        secret_keys: SecretKeys,
        idle_timeout: float,
        grace: float = 0.0,
        limits: NearLimits | None = None,
        counts: NearCounts | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = counts = NearCounts() if counts is None else counts
        self._grace = grace
        self._clock = clock
        self._monotonic = monotonic
        self._limits = NearLimits() if limits is None else limits
        self._entries = entries = Entries(self._limits)
        self._coherence = coherence = Coherence()
        self._unreachable_until = -math.inf
        self._last_uses = LastUses(
            store,
            idle_timeout=idle_timeout,
            counts=counts,
            sharing=entries.sharing,
            gone=entries.drop,
            monotonic=monotonic,
        )
        self._fetches = Fetches(
            Finder(GatheredReads(store), keys.Naming(secret_keys), Envelopes(secret_keys)),
            entries=entries,
            coherence=coherence,
            last_uses=self._last_uses,
            counts=counts,
            keep_suspect=grace > 0,
            monotonic=monotonic,
        )
        news = NewsOfChanges(entries=entries, coherence=coherence, counts=counts)
        self._watch = store.watch(news, prefixes=keys.DECIDING if self._limits.entries else ())

    def start(self) -> None:
        """Begin to listen for changes, in the background; until then every find asks the store."""
        self._watch.start()

    async def aclose(self) -> None:
        await self._watch.aclose()
        await self._last_uses.aclose()
        self._entries.clear()

    def peek(self, token: str, *, scope: str, provider: str, now: float) -> Session | None:
        """The living session of this cookie, if that is certain without asking anybody. Counts as
        its use, which is written later. None says nothing about the session."""
        entry = self.look(token, scope=scope, provider=provider, now=now)
        return None if entry is None else entry.session

    def look(self, token: str, *, scope: str, provider: str, now: float) -> NearEntry | None:
        """As `peek`: the entry, for whoever derives something from its session."""
        entry = self._entries.get(token)
        if entry is None or _fitting(entry, scope, provider) is None:
            return None
        return entry if self.still(entry, now) else None

    def still(self, entry: NearEntry, now: float) -> bool:
        """As `look`, of an entry that it gave before."""
        coherence = self._coherence
        if (
            entry.place < 0
            or entry.epoch != coherence.epoch
            or self._monotonic() >= coherence.fresh_until
        ):
            return False
        if now >= entry.renew_at:
            if self._needs_more(entry, now):
                return False
            if self._last_uses.is_due(entry, now):
                self._last_uses.note(entry, now)
        entry.used = True
        self.counts.hits += 1
        return True

    def weigh(self, entry: NearEntry, more: int) -> None:
        """Count the bytes of what was put into `entry.derived`."""
        self._entries.weigh(entry, more)

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """The living session of this cookie, for this scope and provider. Counts as its use.
        Raises `StoreUnavailable`."""
        entry = await self.entry(token, scope=scope, provider=provider)
        return None if entry is None else entry.session

    async def entry(self, token: str, *, scope: str, provider: str) -> NearEntry | None:
        """As `find`: the entry, which may be kept or not."""
        if not is_token(token):
            return None
        try:
            entry = self._certain(token)
            if entry is None and self._is_away():
                entry = self._graced(token)
                if entry is not None:
                    return _fitting(entry, scope, provider)
            entry = entry or await self._fetched(token)
            if entry is None or _fitting(entry, scope, provider) is None:
                return None
            now = self._clock()
            if self._last_uses.is_due(entry, now) and not await self._touch(entry, now):
                return None
        except StoreUnavailable:
            self._unreachable_until = self._monotonic() + _UNREACHABLE_SECONDS
            entry = self._graced(token)
            if entry is None:
                raise
        return _fitting(entry, scope, provider)

    @property
    def away(self) -> bool:
        """Whether the store did not answer a moment ago."""
        return self._monotonic() < self._unreachable_until

    @property
    def coherent(self) -> bool:
        """Whether anything may be served from memory at this moment."""
        return self._monotonic() < self._coherence.fresh_until

    @property
    def refused(self) -> bool:
        """Whether the store will not tell of changes, so that there is no near cache at all."""
        return self._coherence.refused

    @property
    def entries(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """How much memory they take, as estimated."""
        return self._entries.weight

    def _certain(self, token: str) -> NearEntry | None:
        entry = self._entries.get(token)
        if entry is None or not self._is_fresh(entry) or not self._lives(entry):
            return None
        entry.used = True
        self.counts.hits += 1
        return entry

    def _is_away(self) -> bool:
        """The store did not answer a moment ago. Now and then one caller is told that it is not
        away, to try; the others need not wait for what may never come."""
        now = self._monotonic()
        if now < self._unreachable_until:
            return True
        if self._unreachable_until > -math.inf:
            self._unreachable_until = now + _PROBE_SECONDS
        return False

    async def _fetched(self, token: str) -> NearEntry | None:
        entry = await self._fetches.fetch(token)
        self._unreachable_until = -math.inf
        if entry is not None and not self._lives(entry):
            self._entries.drop(entry)
            return None
        return entry

    async def _touch(self, entry: NearEntry, now: float) -> bool:
        try:
            return await self._last_uses.touch(entry, now)
        except StoreUnavailable:
            if self._is_fresh(entry) and not self._last_uses.nearly_idle(entry, now):
                return True  # as it would have been by `peek`
            raise

    def _graced(self, token: str) -> NearEntry | None:
        entry = self._entries.get(token)
        if entry is None or not self._lives(entry):
            return None
        certain = max(entry.verified_at, self._coherence.confirmed(entry.epoch))
        if self._monotonic() - certain >= self._grace:
            return None
        self.counts.graced += 1
        return entry

    def _is_fresh(self, entry: NearEntry) -> bool:
        coherence = self._coherence
        return entry.epoch == coherence.epoch and self._monotonic() < coherence.fresh_until

    def _needs_more(self, entry: NearEntry, now: float) -> bool:
        """More than a look into memory: it may be over, or somebody has to be asked."""
        session = entry.session
        refresh = session.is_to_be_refreshed(now)
        return refresh or now >= session.expires_at or self._last_uses.nearly_idle(entry, now)

    def _lives(self, entry: NearEntry) -> bool:
        now = self._clock()
        return now < entry.session.expires_at and not self._last_uses.idle(entry, now)


def _fitting(entry: NearEntry, scope: str, provider: str) -> NearEntry | None:
    session = entry.session
    return entry if session.scope == scope and session.identity.provider == provider else None
