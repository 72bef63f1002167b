"""The one-time store: tickets, replay protection and counters that expire.

Decides what is hashed and sealed, so that none of it can be read from the store: tickets are
sealed under themselves, keys are hashed. Must not know what a ticket or a key means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.sessions.cookie import generate_token, is_well_formed_token
from authz_sidecar.sessions.store import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.keys import KeyNames
    from authz_sidecar.sessions.record_sealing import RecordSealer
    from authz_sidecar.sessions.store import SessionStore

TICKET_SECONDS = 60.0


class OneTimeStore:
    """Tickets, one-time keys and counters. All methods raise `StoreUnavailable` when the store
    fails."""

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

    async def issue_ticket(self, payload: bytes, *, ttl: float = TICKET_SECONDS) -> str:
        """A ticket with which `payload` can be fetched once within `ttl` seconds."""
        ticket = generate_token(self._random)
        sealed = self._sealer.seal_ticket(payload, ticket=ticket)
        await self._store.write(StoreEntry(self._key_names.ticket_keys(ticket)[0], sealed, ttl))
        return ticket

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        """The payload of a ticket, which is deleted; None for an unknown, used or expired
        ticket."""
        if not is_well_formed_token(ticket):
            return None
        for key in self._key_names.ticket_keys(ticket):
            sealed = await self._store.read_and_delete(key)
            if sealed is not None:
                return self._sealer.open_ticket(sealed, ticket=ticket)
        return None

    async def mark_used(self, key: str, *, ttl: float) -> bool:
        """True for the first call with this key; False for every other one within `ttl` seconds."""
        # Under every secret, because replicas have different current secrets during a rotation; in
        # one order on all of them, so that exactly one of two concurrent callers gets True.
        written = [
            await self._store.write_if_absent(StoreEntry(name, b"1", ttl))
            for name in sorted(self._key_names.used_keys(key))
        ]
        return all(written)

    async def was_used(self, key: str) -> bool:
        """Whether `mark_used` was called for this key within its `ttl`."""
        return any(
            value is not None for value in await self._store.read(*self._key_names.used_keys(key))
        )

    async def count(self, key: str, *, window: float) -> int:
        """The number of calls for this key in its current window of `window` seconds, including
        this one."""
        return await self._store.count(self._key_names.counter_key(key), window=window)
