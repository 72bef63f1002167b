"""What has to be remembered for a while and is no session: tickets, what happened once, and how often.

Nothing of it can be read from the store: tickets are sealed under themselves, names are hashed.
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
    """All methods raise `StoreUnavailable` when the store cannot answer."""

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
        """Keep something to be fetched once, by whoever brings the ticket."""
        ticket = generate_token(self._random)
        sealed = self._sealer.seal_ticket(payload, ticket=ticket)
        await self._store.write(StoreEntry(self._key_names.ticket_keys(ticket)[0], sealed, ttl))
        return ticket

    async def redeem_ticket(self, ticket: str) -> bytes | None:
        if not is_well_formed_token(ticket):
            return None
        for key in self._key_names.ticket_keys(ticket):
            sealed = await self._store.read_and_delete(key)
            if sealed is not None:
                return self._sealer.open_ticket(sealed, ticket=ticket)
        return None

    async def mark_used(self, key: str, *, ttl: float) -> bool:
        """True the first time, until `ttl` seconds later."""
        # Under every secret, or replicas in the middle of a rotation would each have a first time;
        # in one order for all of them, so that of two callers at once one is told True.
        written = [
            await self._store.write_if_absent(StoreEntry(name, b"1", ttl))
            for name in sorted(self._key_names.used_keys(key))
        ]
        return all(written)

    async def was_used(self, key: str) -> bool:
        """Whether `mark_used` was called for the key."""
        return any(
            value is not None for value in await self._store.read(*self._key_names.used_keys(key))
        )

    async def count(self, key: str, *, window: float) -> int:
        """How often this was called for the key in its current window, this call included."""
        return await self._store.count(self._key_names.counter_key(key), window=window)
