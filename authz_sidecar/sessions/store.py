"""The interface of session stores: values that expire, and indexes of members that expire.

A store knows nothing of sessions, secrets or cookies. Every call ends within a bounded time: it
succeeds or raises `StoreUnavailable`. A store that was unreachable is used again once it is back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """A key and value to write.

    `ttl`: seconds after which the key expires.
    """

    key: str
    value: bytes
    ttl: float


class StoreReader(Protocol):
    """Read access to a store."""

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        """The values of the keys, in their order; None for a key that does not exist. One round
        trip. Raises `StoreUnavailable`."""
        ...


class InvalidationListener(Protocol):
    """A cache of what the store holds. No method may raise or block.

    `confirmed_at` is the send time of an answered request, in seconds of the monotonic clock:
    every change that the store made before it answered has been reported.
    """

    def on_connected(self, confirmed_at: float) -> None:
        """Every change since `confirmed_at` will be reported; earlier ones may have been missed."""
        ...

    def on_confirmed(self, confirmed_at: float) -> None:
        """The subscription was alive at `confirmed_at`."""
        ...

    def on_invalidated(self, keys: Iterable[str]) -> None:
        """These keys were written, deleted or evicted, or have expired."""
        ...

    def on_all_invalidated(self) -> None:
        """Every key may have changed, for instance because the database was flushed."""
        ...

    def on_disconnected(self) -> None:
        """Changes may be missed until the next `on_connected`."""
        ...

    def on_unsupported(self) -> None:
        """The store does not report changes, and will not for some time."""
        ...


class InvalidationSubscription(Protocol):
    """A subscription of an `InvalidationListener` to changes in a store."""

    def start(self) -> None:
        """Subscribe in the background, and again whenever the connection is lost."""
        ...

    async def aclose(self) -> None:
        """End the subscription."""
        ...


class SessionStore(StoreReader, Protocol):
    """A store of sessions. Keys with the same hash tag (the part in braces) are stored together,
    as in a Redis cluster
    (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/). All asynchronous
    methods raise `StoreUnavailable` when the store fails."""

    async def write(self, *entries: StoreEntry) -> None:
        """Write entries with the same hash tag in one transaction: all or none."""
        ...

    async def write_if_absent(self, entry: StoreEntry) -> bool:
        """Write the entry unless its key exists; returns whether it was written."""
        ...

    async def write_if_present(self, entry: StoreEntry) -> bool:
        """Write the entry only if its key exists; returns whether it was written."""
        ...

    async def write_all_if_present(self, *entries: StoreEntry) -> tuple[bool, ...]:
        """Call `write_if_present` for entries with any hash tags, in one round trip; returns which
        were written."""
        ...

    async def compare_and_swap(self, key: str, expected: bytes, value: bytes) -> bool:
        """Replace `expected` by `value` and keep the expiry; returns whether the key held
        `expected`."""
        ...

    async def read_and_delete(self, key: str) -> bytes | None:
        """The value of the key, which is deleted in the same step: only one of several callers
        gets it."""
        ...

    async def delete(self, *keys: str) -> None:
        """Delete keys with the same hash tag; missing keys are ignored."""
        ...

    async def add_to_index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        """Add a member to an index until `expires_at`, and drop its expired members. Times are in
        seconds since the epoch."""
        ...

    async def read_indexes(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        """The members of each index that have not expired at `now`, the earliest to expire
        first."""
        ...

    async def remove_from_index(self, key: str, *members: str) -> None:
        """Remove members from an index; missing ones are ignored."""
        ...

    async def count(self, key: str, *, window: float) -> int:
        """The number of calls for this key in its current window of `window` seconds, including
        this one. A window begins with its first call and is never prolonged; counting is atomic."""
        ...

    async def run_confirmed(self, write: Callable[[], Awaitable[T]]) -> T:
        """The result of `write`, once it is certain that it wrote to the server at the store's
        address.

        `write` is called again when the primary changed meanwhile. For writes that must not be
        reported as done while only a former primary has them, such as a sign-out. Raises
        `StoreUnavailable`.
        """
        ...

    def subscribe(
        self, listener: InvalidationListener, *, prefixes: tuple[str, ...]
    ) -> InvalidationSubscription:
        """A subscription, not started yet, that reports every change to keys with these prefixes.
        Without prefixes it only makes sure that connections to a former primary are closed."""
        ...

    async def check_ready(self) -> None:
        """Return if the store can be written to now. Raises `StoreUnavailable` otherwise."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
