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
from authz_sidecar.sessions.cookie import is_token
from authz_sidecar.sessions.records import ProviderTokens, Record, Vault
from authz_sidecar.sessions.store import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.sessions.keys import Naming
    from authz_sidecar.sessions.record_sealing import Envelopes
    from authz_sidecar.sessions.store import SessionStore

LOCK_SECONDS = 30.0
"""As long as an exchange with a provider may take; nobody tries again before, whatever came of it."""
EARLIEST_SECONDS = 60.0
"""Before the access token expires; less where it lives for less than four times as long."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to refresh one sign-in. `held` is what was read: whoever still holds it at the end
    was overtaken by nobody."""

    handle: str
    key: str
    held: bytes
    vault: Vault


class Renewal:
    def __init__(
        self,
        store: SessionStore,
        naming: Naming,
        envelopes: Envelopes,
        *,
        random: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._naming = naming
        self._envelopes = envelopes
        self._random = random

    async def key_of(self, token: str) -> str:
        """The key of the vault of the session that this cookie opens; empty if it has none."""
        found = await self._record(token)
        return "" if found is None else found[1].vault

    async def claim(self, token: str, session: Session, *, now: float) -> Claim | Session | None:
        """The right to refresh; or the session as somebody else's refresh has made it, which is the
        same session while they are at it. None when there is nothing left to refresh."""
        found = await self._record(token)
        if found is None:
            return None
        sealed, record = found
        handle = session.parent or session.handle
        [held] = await self._store.read(keys.vault_key(handle))
        vault = None if held is None else self._envelopes.open_vault(held, key=record.vault)
        if held is None or vault is None:
            return session
        if vault.refresh_at > now:
            return await self._adopt(token, sealed, record, vault)
        lock = Entry(keys.refresh_lock_key(handle), self._random(8), LOCK_SECONDS)
        if not await self._store.write_new(lock):
            return session
        return Claim(handle=handle, key=record.vault, held=held, vault=vault)

    async def keep(self, claim: Claim, vault: Vault) -> Claim | None:
        """Store what the provider gave; None when the session has ended, or somebody overtook us."""
        sealed = self._envelopes.close_vault(vault, key=claim.key)
        if not await self._store.swap(keys.vault_key(claim.handle), claim.held, sealed):
            return None
        return replace(claim, held=sealed, vault=vault)

    async def _adopt(
        self, token: str, sealed: bytes, record: Record, vault: Vault
    ) -> Session | None:
        """Take over who the provider says this is; what the session has seen stays as it was, so
        that whatever revoked it meanwhile still does."""
        session = replace(record.session, identity=vault.identity, refresh_at=vault.refresh_at)
        renewed = self._envelopes.close_record(replace(record, session=session), token=token)
        key = keys.session_key(session.handle)
        if await self._store.swap(key, sealed, renewed):
            return session
        # Ended, or adopted by another request of the same browser.
        found = await self._record(token)
        return None if found is None else found[1].session

    async def _record(self, token: str) -> tuple[bytes, Record] | None:
        if not is_token(token):
            return None
        handles = self._naming.handles(token)
        values = await self._store.read(*map(keys.session_key, handles))
        for handle, sealed in zip(handles, values, strict=True):
            if sealed is not None:
                record = self._envelopes.open_record(sealed, token=token, handle=handle)
                return None if record is None else (sealed, record)
        return None


def first_vault(tokens: ProviderTokens | None, identity: Identity, *, now: float) -> Vault | None:
    """That of a new sign-in; None where the provider gave nothing to refresh it with."""
    if tokens is None or tokens.refresh_token is None or tokens.expires_at is None:
        return None
    return Vault(
        tokens=tokens, identity=identity, refresh_at=refresh_time(tokens.expires_at, now=now)
    )


def refresh_time(expires_at: float, *, now: float) -> float:
    """When to refresh what expires then: a little before, and never at once."""
    lifetime = max(0.0, expires_at - now)
    return max(
        now + min(LOCK_SECONDS, lifetime / 2), expires_at - min(EARLIEST_SECONDS, lifetime / 4)
    )
