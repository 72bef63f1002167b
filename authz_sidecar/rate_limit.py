"""How often one network may ask for what costs us work: one counter for each network and window,
in the store, and in this process while the store is away.

Decides who has to wait and how long. Never counts by user name alone: that would let anybody lock
anybody out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.errors import RateLimited, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Address

Network = IPv4Network | IPv6Network

MAX_TRACKED_NETWORKS = 8192
"""Networks that this process knows of at once; the oldest make room for new ones."""
STORE_RETRY_SECONDS = 2.0
"""After the store did not answer, how long it is not asked again: strangers do not wait for it."""
UNKNOWN_CLIENT = "unknown address"
UNKNOWN_CLIENT_FACTOR = 10
"""As many more for all unknown addresses together: a proxy that does not tell whose requests it
brings is no reason to turn its people away, and no way around the limit either."""


class CounterStore(Protocol):
    """`OneTimeStore` of sessions, as far as throttling needs them."""

    async def count(self, key: str, *, window: float) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`requests` in each `window` of seconds, for everybody but `exempt`."""

    requests: int = 300
    window: float = 60.0
    exempt: tuple[Network, ...] = ()


class RateLimiter:
    def __init__(
        self, store: CounterStore, *, limits: RateLimit, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._window_number = 0
        self._exceeded: set[str] = set()
        self._local_counts: dict[str, int] = {}
        self._store_retry_at = 0.0

    async def admit(self, client: Address | None) -> None:
        """Count one request; raises `RateLimited` when it is one too many."""
        address = _unmap(client)
        if address is not None and any(address in network for network in self._limits.exempt):
            return
        network, times = rate_limit_key(client)
        await self.limit(network, factor=times)

    async def limit(self, subject: str, *, factor: int = 1) -> None:
        """The same for anything else that can be counted, an account for example."""
        now = self._clock()
        # Whoever has spent a window costs nothing more in it, not even a question to the store.
        self.check(subject)
        count = await self._count(f"throttle {self._window_number} {subject}", now=now)
        if count <= self._limits.requests * factor:
            return
        if len(self._exceeded) < MAX_TRACKED_NETWORKS:
            self._exceeded.add(subject)
        raise self._throttled(subject, now=now)

    def check(self, subject: str) -> None:
        """Raises `RateLimited` where `limit` did in this window; counts nothing."""
        now = self._clock()
        number = math.floor(now / self._limits.window)
        if number != self._window_number:
            self._window_number = number
            self._exceeded.clear()
            self._local_counts.clear()
        if subject in self._exceeded:
            raise self._throttled(subject, now=now)

    def _throttled(self, subject: str, *, now: float) -> RateLimited:
        ends = (math.floor(now / self._limits.window) + 1) * self._limits.window
        return RateLimited(
            f"too many requests of `{subject}`", retry_after=max(1, math.ceil(ends - now))
        )

    async def _count(self, key: str, *, now: float) -> int:
        if now >= self._store_retry_at:
            try:
                return await self._store.count(key, window=self._limits.window)
            except StoreUnavailable:
                self._store_retry_at = now + STORE_RETRY_SECONDS
        count = self._local_counts.pop(key, 0) + 1
        if len(self._local_counts) >= MAX_TRACKED_NETWORKS:
            del self._local_counts[next(iter(self._local_counts))]
        self._local_counts[key] = count
        return count


def network_of(address: Address) -> Network:
    """What one household or one customer has: an IPv4 address, or an IPv6 network of 64 bits."""
    if isinstance(address, IPv6Address):
        return IPv6Network((int(address) >> 64 << 64, 64))
    return IPv4Network(address)


def rate_limit_key(client: Address | None) -> tuple[str, int]:
    """Under which name a client's requests are counted, and how many times as many it may have."""
    address = _unmap(client)
    return (
        (UNKNOWN_CLIENT, UNKNOWN_CLIENT_FACTOR)
        if address is None
        else (str(network_of(address)), 1)
    )


def _unmap(address: Address | None) -> Address | None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
