"""What the store says about sessions to those who do not bring the cookie: who is listed, what
lists show, which watermarks stand. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cookie import is_token
from authz_sidecar.sessions.lookup import read_time

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.keys import Naming, Subject
    from authz_sidecar.sessions.record_sealing import Envelopes
    from authz_sidecar.sessions.records import Listing, ProviderTokens
    from authz_sidecar.sessions.store import SessionStore


@dataclass(frozen=True, slots=True)
class Member:
    """How an index names a session: its handle, and its parent's if it is a child."""

    handle: str
    parent: str | None = None

    def __str__(self) -> str:
        return self.handle if self.parent is None else f"{self.handle}:{self.parent}"

    @classmethod
    def of(cls, session: Session) -> Member:
        return cls(session.handle, session.parent)

    @classmethod
    def parse(cls, text: str) -> Member:
        handle, _, parent = text.partition(":")
        return cls(handle, parent or None)


class Reader:
    __slots__ = ("_envelopes", "_naming", "_store")

    def __init__(self, store: SessionStore, naming: Naming, envelopes: Envelopes) -> None:
        self._store = store
        self._naming = naming
        self._envelopes = envelopes

    async def watermarks(self, subjects: tuple[Subject, ...]) -> frozenset[bytes]:
        marks = await self._store.read(
            *(mark for subject in subjects for mark in subject.watermarks)
        )
        return frozenset(mark for mark in marks if mark is not None)

    async def tokens(self, token: str) -> ProviderTokens | None:
        if not is_token(token):
            return None
        handles = self._naming.handles(token)
        for sealed in await self._store.read(*map(keys.tokens_key, handles)):
            if sealed is not None:
                return self._envelopes.open_tokens(sealed, token=token)
        return None

    async def members(self, subject: Subject, *, now: float) -> tuple[Member, ...]:
        indexes = await self._store.indexed(*subject.indexes, now=now)
        names = dict.fromkeys(name for index in indexes for name in index)
        return tuple(map(Member.parse, names))

    async def listings(self, members: tuple[Member, ...]) -> tuple[Listing, ...]:
        """What the store holds about these sessions, ended or not. One round trip."""
        if not members:
            return ()
        values = await self._store.read(*(keys.listing_key(member.handle) for member in members))
        opened = (
            self._envelopes.open_listing(sealed, handle=member.handle)
            for member, sealed in zip(members, values, strict=True)
            if sealed is not None
        )
        return tuple(listing for listing in opened if listing is not None)

    async def standing_listings(
        self, members: tuple[Member, ...]
    ) -> tuple[tuple[Listing, float], ...]:
        """Those of them that nobody ended or revoked, each with its last use. Two round trips."""
        listings = await self.listings(members)
        if not listings:
            return ()
        asked = [self._standing_keys(listing) for listing in listings]
        distinct = tuple(dict.fromkeys(key for each in asked for key in (each[0], *each[1])))
        held = dict(zip(distinct, await self._store.read(*distinct), strict=True))
        standing = []
        for listing, (use_key, mark_keys) in zip(listings, asked, strict=True):
            last_use = read_time(held[use_key])
            marks = {mark for key in mark_keys if (mark := held[key]) is not None}
            if last_use is not None and marks <= listing.seen:
                standing.append((listing, last_use))
        return tuple(standing)

    def _standing_keys(self, listing: Listing) -> tuple[str, tuple[str, ...]]:
        """The key of its last use, and those of all watermarks that could end it."""
        summary = listing.summary
        keeper = summary.parent or summary.handle
        subjects = self._naming.subjects_of(
            summary.provider, summary.issuer, summary.subject, summary.provider_session
        )
        ended = (keys.ended_key(summary.handle), keys.ended_key(keeper))
        marks = (mark for subject in subjects for mark in subject.watermarks)
        return keys.last_use_key(keeper), (*ended, *marks)
