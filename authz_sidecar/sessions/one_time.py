"""What has to be remembered for a while and is no session: tickets, what happened once, and how often.

Nothing of it can be read from the store: tickets are sealed under themselves, names are hashed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.sessions.cookie import is_token, new_token
from authz_sidecar.sessions.store import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.keys import Naming
    from authz_sidecar.sessions.record_sealing import Envelopes
    from authz_sidecar.sessions.store import SessionStore

TICKET_SECONDS = 60.0


class Notes:
    """All methods raise `StoreUnavailable` when the store cannot answer."""

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

    async def put_ticket(self, payload: bytes, *, ttl: float = TICKET_SECONDS) -> str:
        """Keep something to be fetched once, by whoever brings the ticket."""
        ticket = new_token(self._random)
        sealed = self._envelopes.close_ticket(payload, ticket=ticket)
        await self._store.write(Entry(self._naming.tickets(ticket)[0], sealed, ttl))
        return ticket

    async def take_ticket(self, ticket: str) -> bytes | None:
        if not is_token(ticket):
            return None
        for key in self._naming.tickets(ticket):
            sealed = await self._store.take(key)
            if sealed is not None:
                return self._envelopes.open_ticket(sealed, ticket=ticket)
        return None

    async def remember_once(self, key: str, *, ttl: float) -> bool:
        """True the first time, until `ttl` seconds later."""
        # Under every secret, or replicas in the middle of a rotation would each have a first time;
        # in one order for all of them, so that of two callers at once one is told True.
        first = [
            await self._store.write_new(Entry(name, b"1", ttl))
            for name in sorted(self._naming.once(key))
        ]
        return all(first)

    async def was_remembered(self, key: str) -> bool:
        """Whether `remember_once` was called for the key."""
        return any(value is not None for value in await self._store.read(*self._naming.once(key)))

    async def count(self, key: str, *, window: float) -> int:
        """How often this was called for the key in its current window, this call included."""
        return await self._store.count(self._naming.counter(key), window=window)
