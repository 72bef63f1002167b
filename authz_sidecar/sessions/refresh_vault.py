"""Coordination of token refreshes: one at a time for each sign-in, across all workers.

A sign-in and its children share a vault with the provider's tokens and identity, sealed under a
key that each of them holds. The first request after `refresh_at` renews the vault; the other
sessions copy the identity from it. A refresh never revives an ended session or overwrites a later
refresh. Knows nothing of providers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cookie import is_well_formed_token
from authz_sidecar.sessions.records import ProviderTokens, RefreshVault, SessionRecord
from authz_sidecar.sessions.store import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.sessions.keys import KeyNames
    from authz_sidecar.sessions.record_sealing import RecordSealer
    from authz_sidecar.sessions.store import SessionStore

LEASE_SECONDS = 30.0
"""The longest duration of a token request; no other attempt is made before, even after a failure."""
MAX_SECONDS_BEFORE_EXPIRY = 60.0
"""How long before its expiry an access token is refreshed; a quarter of its lifetime if shorter."""


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The exclusive right to refresh one sign-in, for `LEASE_SECONDS`.

    `root_id`: the public ID of the sign-in.
    `vault_key`: the key that opens its vault.
    `expected`: the sealed vault as read; `commit` fails if the store holds another one.
    `vault`: the vault as read.
    """

    root_id: str
    vault_key: str
    expected: bytes
    vault: RefreshVault


class RefreshCoordinator:
    """Acquires and commits refreshes. All methods raise `StoreUnavailable` when the store fails."""

    def __init__(
        self,
        store: SessionStore,
        key_names: KeyNames,
        sealer: RecordSealer,
        *,
        random: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._key_names = key_names
        self._sealer = sealer
        self._random = random

    async def vault_key_of(self, token: str) -> str:
        """The vault key of the session that this cookie value opens; empty if it has no vault."""
        stored = await self._read_record(token)
        return "" if stored is None else stored[1].vault_key

    async def acquire(
        self, token: str, session: Session, *, now: float
    ) -> RefreshLease | Session | None:
        """A lease to refresh the sign-in of this session, or the current session when no refresh
        is needed.

        The session is updated from the vault after another caller's refresh, and unchanged while
        that refresh is running. None when the session has ended.
        """
        stored = await self._read_record(token)
        if stored is None:
            return None
        sealed, record = stored
        root_id = session.parent_id or session.public_id
        [sealed_vault] = await self._store.read(keys.vault_key(root_id))
        vault = (
            None
            if sealed_vault is None
            else self._sealer.open_vault(sealed_vault, vault_key=record.vault_key)
        )
        if sealed_vault is None or vault is None:
            return session
        if vault.refresh_at > now:
            return await self._apply_vault(token, sealed, record, vault)
        lock = StoreEntry(keys.refresh_lock_key(root_id), self._random(8), LEASE_SECONDS)
        if not await self._store.write_if_absent(lock):
            return session
        return RefreshLease(
            root_id=root_id, vault_key=record.vault_key, expected=sealed_vault, vault=vault
        )

    async def commit(self, lease: RefreshLease, vault: RefreshVault) -> RefreshLease | None:
        """Store the refreshed vault, and return the lease for the next commit; None when the
        session has ended or the vault was replaced since the lease was acquired."""
        sealed = self._sealer.seal_vault(vault, vault_key=lease.vault_key)
        if not await self._store.compare_and_swap(
            keys.vault_key(lease.root_id), lease.expected, sealed
        ):
            return None
        return replace(lease, expected=sealed, vault=vault)

    async def _apply_vault(
        self, token: str, sealed: bytes, record: SessionRecord, vault: RefreshVault
    ) -> Session | None:
        """The session with the identity of the vault. Its known watermarks stay, so that a
        revocation in the meantime still ends it."""
        session = replace(record.session, identity=vault.identity, refresh_at=vault.refresh_at)
        renewed = self._sealer.seal_record(replace(record, session=session), token=token)
        key = keys.session_key(session.public_id)
        if await self._store.compare_and_swap(key, sealed, renewed):
            return session
        # Ended, or updated by another request of the same browser.
        stored = await self._read_record(token)
        return None if stored is None else stored[1].session

    async def _read_record(self, token: str) -> tuple[bytes, SessionRecord] | None:
        if not is_well_formed_token(token):
            return None
        public_ids = self._key_names.public_ids(token)
        values = await self._store.read(*map(keys.session_key, public_ids))
        for public_id, sealed in zip(public_ids, values, strict=True):
            if sealed is not None:
                record = self._sealer.open_record(sealed, token=token, public_id=public_id)
                return None if record is None else (sealed, record)
        return None


def initial_vault(
    tokens: ProviderTokens | None, identity: Identity, *, now: float
) -> RefreshVault | None:
    """The vault of a new sign-in; None without a refresh token or an expiry of the access token."""
    if tokens is None or tokens.refresh_token is None or tokens.expires_at is None:
        return None
    return RefreshVault(
        tokens=tokens, identity=identity, refresh_at=refresh_time(tokens.expires_at, now=now)
    )


def refresh_time(expires_at: float, *, now: float) -> float:
    """When to refresh a token that expires at `expires_at`: shortly before, and never at once.
    Times are in seconds since the epoch."""
    lifetime = max(0.0, expires_at - now)
    return max(
        now + min(LEASE_SECONDS, lifetime / 2),
        expires_at - min(MAX_SECONDS_BEFORE_EXPIRY, lifetime / 4),
    )
