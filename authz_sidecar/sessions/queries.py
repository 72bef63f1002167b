"""Read access to sessions without their cookie: index members, listings and watermarks.

Decides which listed sessions are valid. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cookie import is_well_formed_token
from authz_sidecar.sessions.lookup import parse_last_use

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.keys import IndexOwner, KeyNames
    from authz_sidecar.sessions.record_sealing import RecordSealer
    from authz_sidecar.sessions.records import ProviderTokens, SessionListing
    from authz_sidecar.sessions.store import SessionStore


@dataclass(frozen=True, slots=True)
class IndexMember:
    """A member of a session index: the public ID of a session, and its parent's for a child.
    `str()` is the stored form, which `parse` reads."""

    public_id: str
    parent_id: str | None = None

    def __str__(self) -> str:
        return self.public_id if self.parent_id is None else f"{self.public_id}:{self.parent_id}"

    @classmethod
    def of(cls, session: Session) -> IndexMember:
        """The index member for a session."""
        return cls(session.public_id, session.parent_id)

    @classmethod
    def parse(cls, text: str) -> IndexMember:
        """The index member in its stored form."""
        public_id, _, parent = text.partition(":")
        return cls(public_id, parent or None)


class SessionQueries:
    """Reads indexes, listings, watermarks and tokens. All methods raise `StoreUnavailable` when
    the store fails."""

    __slots__ = ("_key_names", "_sealer", "_store")

    def __init__(self, store: SessionStore, key_names: KeyNames, sealer: RecordSealer) -> None:
        self._store = store
        self._key_names = key_names
        self._sealer = sealer

    async def watermarks(self, owners: tuple[IndexOwner, ...]) -> frozenset[bytes]:
        """The watermarks that are set for any of these index owners. One round trip."""
        values = await self._store.read(
            *(mark for owner in owners for mark in owner.watermark_keys)
        )
        return frozenset(mark for mark in values if mark is not None)

    async def provider_tokens(self, token: str) -> ProviderTokens | None:
        """The provider's tokens of the sign-in with this cookie value; None without any."""
        if not is_well_formed_token(token):
            return None
        public_ids = self._key_names.public_ids(token)
        for sealed in await self._store.read(*map(keys.tokens_key, public_ids)):
            if sealed is not None:
                return self._sealer.open_tokens(sealed, token=token)
        return None

    async def members(self, owner: IndexOwner, *, now: float) -> tuple[IndexMember, ...]:
        """The members of the owner's indexes that have not expired at `now`, each once. One round
        trip."""
        indexes = await self._store.read_indexes(*owner.index_keys, now=now)
        names = dict.fromkeys(name for index in indexes for name in index)
        return tuple(map(IndexMember.parse, names))

    async def listings(self, members: tuple[IndexMember, ...]) -> tuple[SessionListing, ...]:
        """The stored listings of these members, also of ended sessions. One round trip."""
        if not members:
            return ()
        values = await self._store.read(*(keys.listing_key(member.public_id) for member in members))
        opened = (
            self._sealer.open_listing(sealed, public_id=member.public_id)
            for member, sealed in zip(members, values, strict=True)
            if sealed is not None
        )
        return tuple(listing for listing in opened if listing is not None)

    async def valid_listings(
        self, members: tuple[IndexMember, ...]
    ) -> tuple[tuple[SessionListing, float], ...]:
        """The listings of the members that were not ended or revoked, each with its last use in
        seconds since the epoch. Two round trips."""
        listings = await self.listings(members)
        if not listings:
            return ()
        required_keys = [self._validity_keys(listing) for listing in listings]
        distinct = tuple(
            dict.fromkeys(key for key_set in required_keys for key in (key_set[0], *key_set[1]))
        )
        values = dict(zip(distinct, await self._store.read(*distinct), strict=True))
        valid = []
        for listing, (last_use_key, watermark_keys) in zip(listings, required_keys, strict=True):
            last_use = parse_last_use(values[last_use_key])
            watermarks = {
                watermark for key in watermark_keys if (watermark := values[key]) is not None
            }
            if last_use is not None and watermarks <= listing.known_watermarks:
                valid.append((listing, last_use))
        return tuple(valid)

    def _validity_keys(self, listing: SessionListing) -> tuple[str, tuple[str, ...]]:
        """The key of the session's last use, and the keys of all watermarks that could end it."""
        summary = listing.summary
        root_id = summary.parent or summary.handle
        owners = self._key_names.owners_of_user(
            summary.provider, summary.issuer, summary.subject, summary.provider_session
        )
        ended_keys = (keys.ended_key(summary.handle), keys.ended_key(root_id))
        watermark_keys = (
            watermark_key for owner in owners for watermark_key in owner.watermark_keys
        )
        return keys.last_use_key(root_id), (*ended_keys, *watermark_keys)
