"""Writes sessions to the store and deletes them, in the form that `lookup` and `queries` read.

The caller decides the order: a session is indexed before it is stored, and marked as revoked
before it is deleted.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from authz_sidecar.sessions import keys
from authz_sidecar.sessions.lookup import effective_idle_timeout, format_last_use
from authz_sidecar.sessions.queries import IndexMember
from authz_sidecar.sessions.records import (
    ProviderTokens,
    RefreshVault,
    SessionListing,
    SessionRecord,
    SessionSummary,
)
from authz_sidecar.sessions.store import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.keys import IndexOwner, KeyNames
    from authz_sidecar.sessions.record_sealing import RecordSealer
    from authz_sidecar.sessions.store import SessionStore

CLOCK_SKEW_SECONDS = 300.0
"""How far clocks may differ without a watermark expiring before the session that it ends."""

_MAX_TEXT_LENGTH = 256


class SessionWriter:
    """Writes session records, indexes and watermarks. All methods raise `StoreUnavailable` when
    the store fails."""

    __slots__ = ("_key_names", "_sealer", "_store")

    def __init__(self, store: SessionStore, key_names: KeyNames, sealer: RecordSealer) -> None:
        self._store = store
        self._key_names = key_names
        self._sealer = sealer

    async def add_to_indexes(self, owners: Iterable[IndexOwner], session: Session) -> None:
        """Add the session to the index of each owner, until it expires."""
        member = str(IndexMember.of(session))
        expires_at = ceil(session.expires_at)  # Redis stores a fraction as text
        for owner in owners:
            await self._store.add_to_index(
                owner.index_keys[0], member, expires_at=expires_at, now=session.created_at
            )

    async def write_session(
        self,
        record: SessionRecord,
        tokens: ProviderTokens | None,
        *,
        token: str,
        summary: SessionSummary,
        idle_timeout: float,
        vault: RefreshVault | None = None,
    ) -> None:
        """Write all keys of a new session in one transaction. Each expires no later than the
        session."""
        session, public_id = record.session, record.session.public_id
        ttl = session.expires_at - session.created_at
        sealed = self._sealer.seal_record(record, token=token)
        listing = self._sealer.seal_listing(
            SessionListing(summary=summary, known_watermarks=record.known_watermarks)
        )
        entries = [
            StoreEntry(keys.session_key(public_id), sealed, ttl),
            StoreEntry(keys.listing_key(public_id), listing, ttl),
        ]
        if tokens is not None:
            sealed = self._sealer.seal_tokens(tokens, token=token)
            entries.append(StoreEntry(keys.tokens_key(public_id), sealed, ttl))
        if vault is not None:
            sealed = self._sealer.seal_vault(vault, vault_key=record.vault_key)
            entries.append(StoreEntry(keys.vault_key(public_id), sealed, ttl))
        if session.parent_id is None:
            last_use = format_last_use(session.created_at)
            entries.append(
                StoreEntry(
                    keys.last_use_key(public_id),
                    last_use,
                    min(effective_idle_timeout(session, idle_timeout), ttl),
                )
            )
        await self._store.write(*entries)

    async def touch(self, session: Session, *, now: float, idle_timeout: float) -> bool:
        """Store a use of the session, or of its parent for a child; False when that session is
        gone."""
        ttl = min(effective_idle_timeout(session, idle_timeout), session.expires_at - now)
        key = keys.last_use_key(session.parent_id or session.public_id)
        return await self._store.write_if_present(StoreEntry(key, format_last_use(now), ttl))

    async def mark_ended(self, session: Session, *, now: float) -> None:
        """Set the watermark of one session, which ends it whatever else the store holds of it."""
        ttl = max(0.0, session.expires_at - now) + CLOCK_SKEW_SECONDS
        await self._store.write(StoreEntry(keys.ended_key(session.public_id), b"1", ttl))

    async def mark_revoked(self, owner: IndexOwner, watermark: bytes, *, ttl: float) -> None:
        """Set a watermark for an owner, which ends all sessions that do not know it, for `ttl`
        seconds."""
        # Under every secret: during a rotation, replicas have different current secrets.
        for watermark_key in owner.watermark_keys:
            await self._store.write(StoreEntry(watermark_key, watermark, ttl + CLOCK_SKEW_SECONDS))

    async def erase(
        self,
        members: tuple[IndexMember, ...],
        owners: Iterable[IndexOwner],
        listings: Iterable[SessionListing],
    ) -> None:
        """Delete sessions, and remove them from the indexes of these owners and of those in their
        listings."""
        members_by_index: dict[str, set[IndexMember]] = {
            index: set(members) for owner in owners for index in owner.index_keys
        }
        for summary in (listing.summary for listing in listings):
            for index in self._index_keys_of(summary):
                members_by_index.setdefault(index, set()).add(
                    IndexMember(summary.handle, summary.parent)
                )
        for member in members:
            await self._store.delete(
                keys.session_key(member.public_id),
                keys.last_use_key(member.public_id),
                keys.tokens_key(member.public_id),
                keys.listing_key(member.public_id),
                keys.vault_key(member.public_id),
            )
        # Single members, never the whole index: a concurrent sign-in may be adding to it.
        for index, removed in members_by_index.items():
            if removed:
                await self._store.remove_from_index(index, *map(str, removed))

    def _index_keys_of(self, summary: SessionSummary) -> Iterable[str]:
        for owner in self._key_names.owners_of_user(
            summary.provider, summary.issuer, summary.subject, summary.provider_session
        ):
            yield from owner.index_keys


def summarize(session: Session, *, client: str, user_agent: str) -> SessionSummary:
    """The summary of a new session; client and user agent are cut to `_MAX_TEXT_LENGTH`
    characters."""
    identity = session.identity
    return SessionSummary(
        handle=session.public_id,
        kind=session.kind,
        scope=session.scope,
        provider=identity.provider,
        issuer=identity.issuer,
        subject=identity.subject,
        created_at=session.created_at,
        expires_at=session.expires_at,
        last_used_at=session.created_at,
        client=client[:_MAX_TEXT_LENGTH],
        user_agent=user_agent[:_MAX_TEXT_LENGTH],
        provider_session=session.provider_session,
        parent=session.parent_id,
        routes=session.routes,
    )
