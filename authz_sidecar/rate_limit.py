"""Rate limits for work that clients cause: one counter per network and window, in the session
store, and in this process while the store is down.

Decides which request is refused and when it may be retried. Never counts by user name alone: that
would let one client lock out another.
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
"""The networks that this process counts at once; the oldest are dropped for new ones."""
STORE_RETRY_SECONDS = 2.0
"""How long the store is not used after it did not answer, so that no client waits for it."""
UNKNOWN_CLIENT = "unknown address"
UNKNOWN_CLIENT_FACTOR = 10
"""All unknown addresses share one counter with a limit this many times higher: behind a proxy that
reports no client address, users are not locked out and the limit still holds."""


class CounterStore(Protocol):
    """The counters of the session store."""

    async def count(self, key: str, *, window: float) -> int:
        """Add one to a counter that ends after `window` seconds; return its value. Raises
        `StoreUnavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """`requests` per `window` seconds and network; networks in `exempt` have no limit."""

    requests: int = 300
    window: float = 60.0
    exempt: tuple[Network, ...] = ()


class RateLimiter:
    """A rate limiter with fixed windows. `clock` returns Unix seconds."""

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
        """Count one request of a client. Raises `RateLimited` when it exceeds the limit."""
        address = _unmap(client)
        if address is not None and any(address in network for network in self._limits.exempt):
            return
        key, factor = rate_limit_key(client)
        await self.limit(key, factor=factor)

    async def limit(self, subject: str, *, factor: int = 1) -> None:
        """Count one event of `subject`, such as a network or an account.

        The limit is multiplied by `factor`. Raises `RateLimited` when the event exceeds it.
        """
        now = self._clock()
        # A subject above its limit causes no further call to the store in this window.
        self.check(subject)
        count = await self._count(f"throttle {self._window_number} {subject}", now=now)
        if count <= self._limits.requests * factor:
            return
        if len(self._exceeded) < MAX_TRACKED_NETWORKS:
            self._exceeded.add(subject)
        raise self._rate_limited(subject, now=now)

    def check(self, subject: str) -> None:
        """Raise `RateLimited` if `limit` did so for `subject` in this window; count nothing."""
        now = self._clock()
        number = math.floor(now / self._limits.window)
        if number != self._window_number:
            self._window_number = number
            self._exceeded.clear()
            self._local_counts.clear()
        if subject in self._exceeded:
            raise self._rate_limited(subject, now=now)

    def _rate_limited(self, subject: str, *, now: float) -> RateLimited:
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
    """Return the network of one household or customer: an IPv4 address, or an IPv6 /64."""
    if isinstance(address, IPv6Address):
        return IPv6Network((int(address) >> 64 << 64, 64))
    return IPv4Network(address)


def rate_limit_key(client: Address | None) -> tuple[str, int]:
    """Return the name of a client's counter, and the factor by which its limit is multiplied."""
    address = _unmap(client)
    return (
        (UNKNOWN_CLIENT, UNKNOWN_CLIENT_FACTOR)
        if address is None
        else (str(network_of(address)), 1)
    )


def _unmap(address: Address | None) -> Address | None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
