"""What a refresh of the provider's tokens does to sessions: one at a time for each sign-in, over all
workers, and never over a session that was ended or a refresh that came later.

A sign-in and its children share a vault, sealed under a key that each of them holds: the tokens,
and who the provider said this is. Whoever's request comes first after `refresh_at` renews it; the
others copy from it what concerns them. Knows nothing of providers.
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
"""As long as an exchange with a provider may take; nobody tries again before, whatever came of it."""
MAX_SECONDS_BEFORE_EXPIRY = 60.0
"""Before the access token expires; less where it lives for less than four times as long."""


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right to refresh one sign-in. `expected` is what was read: whoever still holds it at the
    end was overtaken by nobody."""

    root_id: str
    vault_key: str
    expected: bytes
    vault: RefreshVault


class RefreshCoordinator:
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
        """The key of the vault of the session that this cookie opens; empty if it has none."""
        stored = await self._read_record(token)
        return "" if stored is None else stored[1].vault_key

    async def acquire(
        self, token: str, session: Session, *, now: float
    ) -> RefreshLease | Session | None:
        """The right to refresh; or the session as somebody else's refresh has made it, which is the
        same session while they are at it. None when there is nothing left to refresh."""
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
        """Store what the provider gave; None when the session has ended, or somebody overtook us."""
        sealed = self._sealer.seal_vault(vault, vault_key=lease.vault_key)
        if not await self._store.compare_and_swap(
            keys.vault_key(lease.root_id), lease.expected, sealed
        ):
            return None
        return replace(lease, expected=sealed, vault=vault)

    async def _apply_vault(
        self, token: str, sealed: bytes, record: SessionRecord, vault: RefreshVault
    ) -> Session | None:
        """Take over who the provider says this is; what the session has seen stays as it was, so
        that whatever revoked it meanwhile still does."""
        session = replace(record.session, identity=vault.identity, refresh_at=vault.refresh_at)
        renewed = self._sealer.seal_record(replace(record, session=session), token=token)
        key = keys.session_key(session.public_id)
        if await self._store.compare_and_swap(key, sealed, renewed):
            return session
        # Ended, or adopted by another request of the same browser.
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
    """That of a new sign-in; None where the provider gave nothing to refresh it with."""
    if tokens is None or tokens.refresh_token is None or tokens.expires_at is None:
        return None
    return RefreshVault(
        tokens=tokens, identity=identity, refresh_at=refresh_time(tokens.expires_at, now=now)
    )


def refresh_time(expires_at: float, *, now: float) -> float:
    """When to refresh what expires then: a little before, and never at once."""
    lifetime = max(0.0, expires_at - now)
    return max(
        now + min(LEASE_SECONDS, lifetime / 2),
        expires_at - min(MAX_SECONDS_BEFORE_EXPIRY, lifetime / 4),
    )
