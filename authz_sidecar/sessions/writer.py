"""How sessions are put into the store and taken out of it, as `reading` finds them there.

Whoever calls decides the order: indexed before stored, marked as revoked before erased.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from authz_sidecar.sessions import keys
from authz_sidecar.sessions.lookup import idle_after, write_time
from authz_sidecar.sessions.queries import Member
from authz_sidecar.sessions.records import Listing, ProviderTokens, Record, SessionSummary, Vault
from authz_sidecar.sessions.store import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.keys import Naming, Subject
    from authz_sidecar.sessions.record_sealing import Envelopes
    from authz_sidecar.sessions.store import SessionStore

# How far the clocks of two machines may be apart without a mark dying before what it ends.
CLOCK_MARGIN = 300.0

_MAX_TEXT = 256


class Writer:
    __slots__ = ("_envelopes", "_naming", "_store")

    def __init__(self, store: SessionStore, naming: Naming, envelopes: Envelopes) -> None:
        self._store = store
        self._naming = naming
        self._envelopes = envelopes

    async def index(self, subjects: Iterable[Subject], session: Session) -> None:
        member = str(Member.of(session))
        expires_at = ceil(session.expires_at)  # with a fraction it would be text in the store
        for subject in subjects:
            await self._store.index(
                subject.indexes[0], member, expires_at=expires_at, now=session.created_at
            )

    async def store(
        self,
        record: Record,
        tokens: ProviderTokens | None,
        *,
        token: str,
        summary: SessionSummary,
        idle_timeout: float,
        vault: Vault | None = None,
    ) -> None:
        """All of a new session at once. What is written here expires with it and never later."""
        session, handle = record.session, record.session.handle
        ttl = session.expires_at - session.created_at
        sealed = self._envelopes.close_record(record, token=token)
        listing = self._envelopes.close_listing(Listing(summary=summary, seen=record.seen))
        entries = [
            Entry(keys.session_key(handle), sealed, ttl),
            Entry(keys.listing_key(handle), listing, ttl),
        ]
        if tokens is not None:
            sealed = self._envelopes.close_tokens(tokens, token=token)
            entries.append(Entry(keys.tokens_key(handle), sealed, ttl))
        if vault is not None:
            sealed = self._envelopes.close_vault(vault, key=record.vault)
            entries.append(Entry(keys.vault_key(handle), sealed, ttl))
        if session.parent is None:
            used = write_time(session.created_at)
            entries.append(
                Entry(keys.last_use_key(handle), used, min(idle_after(session, idle_timeout), ttl))
            )
        await self._store.write(*entries)

    async def touch(self, session: Session, *, now: float, idle_timeout: float) -> bool:
        """Note a use of the session, at its parent if it has one; False when it is gone."""
        ttl = min(idle_after(session, idle_timeout), session.expires_at - now)
        key = keys.last_use_key(session.parent or session.handle)
        return await self._store.rewrite(Entry(key, write_time(now), ttl))

    async def mark_ended(self, session: Session, *, now: float) -> None:
        ttl = max(0.0, session.expires_at - now) + CLOCK_MARGIN
        await self._store.write(Entry(keys.ended_key(session.handle), b"1", ttl))

    async def mark_revoked(self, subject: Subject, mark: bytes, *, ttl: float) -> None:
        # Under every secret: replicas in the middle of a rotation must all see it.
        for watermark in subject.watermarks:
            await self._store.write(Entry(watermark, mark, ttl + CLOCK_MARGIN))

    async def erase(
        self, members: tuple[Member, ...], subjects: Iterable[Subject], listings: Iterable[Listing]
    ) -> None:
        """Delete sessions, and take them out of these indexes and of all that their listings name."""
        indexes: dict[str, set[Member]] = {
            index: set(members) for subject in subjects for index in subject.indexes
        }
        for summary in (listing.summary for listing in listings):
            for index in self._indexes_of(summary):
                indexes.setdefault(index, set()).add(Member(summary.handle, summary.parent))
        for member in members:
            await self._store.delete(
                keys.session_key(member.handle),
                keys.last_use_key(member.handle),
                keys.tokens_key(member.handle),
                keys.listing_key(member.handle),
                keys.vault_key(member.handle),
            )
        # Members one by one, never the whole index: somebody may be signing in.
        for index, gone in indexes.items():
            if gone:
                await self._store.unindex(index, *map(str, gone))

    def _indexes_of(self, summary: SessionSummary) -> Iterable[str]:
        for subject in self._naming.subjects_of(
            summary.provider, summary.issuer, summary.subject, summary.provider_session
        ):
            yield from subject.indexes


def summary_of(session: Session, *, client: str, user_agent: str) -> SessionSummary:
    identity = session.identity
    return SessionSummary(
        handle=session.handle,
        kind=session.kind,
        scope=session.scope,
        provider=identity.provider,
        issuer=identity.issuer,
        subject=identity.subject,
        created_at=session.created_at,
        expires_at=session.expires_at,
        last_used_at=session.created_at,
        client=client[:_MAX_TEXT],
        user_agent=user_agent[:_MAX_TEXT],
        provider_session=session.provider_session,
        parent=session.parent,
        routes=session.routes,
    )
