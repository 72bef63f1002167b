"""The port through which sessions are kept: short-lived bytes under keys, and indexes of names.

A store knows nothing of sessions, secrets or cookies. Every call is bounded in time and either
does what it says or raises `StoreUnavailable`; a store that was away is used again by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """One key to be written; it is gone after `ttl` seconds."""

    key: str
    value: bytes
    ttl: float


class StoreReader(Protocol):
    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        """All values in one round trip, in the order of the keys; None for what is not there."""
        ...


class InvalidationListener(Protocol):
    """Who keeps copies of what the store holds. No method may raise or wait.

    Times are of the monotonic clock: that of a question whose answer has come. Whatever the store
    did before it answered has been told by then.
    """

    def on_connected(self, confirmed_at: float) -> None:
        """From `confirmed_at` on every change is told; of what was before, nothing is known."""
        ...

    def on_confirmed(self, confirmed_at: float) -> None: ...

    def on_invalidated(self, keys: Iterable[str]) -> None:
        """These keys were written, deleted, evicted or have expired."""
        ...

    def on_all_invalidated(self) -> None: ...

    def on_disconnected(self) -> None:
        """Changes may go untold, until `on_connected`."""
        ...

    def on_unsupported(self) -> None:
        """The store will not tell of changes, and will not soon."""
        ...


class InvalidationSubscription(Protocol):
    def start(self) -> None:
        """Begin to tell, in the background, and to begin anew whenever that is lost."""
        ...

    async def aclose(self) -> None: ...


class SessionStore(StoreReader, Protocol):
    """Keys whose text has the same part in braces lie together, and only those do."""

    async def write(self, *entries: StoreEntry) -> None:
        """Write keys that lie together: all of them or none."""
        ...

    async def write_if_absent(self, entry: StoreEntry) -> bool:
        """Write only if the key is not there; whether it was written."""
        ...

    async def write_if_present(self, entry: StoreEntry) -> bool:
        """Write only if the key is still there; whether it was written."""
        ...

    async def write_all_if_present(self, *entries: StoreEntry) -> tuple[bool, ...]:
        """`write_if_present` for each of them, wherever they lie, in one round trip."""
        ...

    async def compare_and_swap(self, key: str, expected: bytes, value: bytes) -> bool:
        """Write `value` only if the key still holds `expected`, and leave its expiry as it is;
        whether it was written."""
        ...

    async def read_and_delete(self, key: str) -> bytes | None:
        """Read and delete in one step: of several callers one gets the value."""
        ...

    async def delete(self, *keys: str) -> None:
        """Delete keys that lie together; those that are not there do not matter."""
        ...

    async def add_to_index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        """Add a member that is listed until `expires_at`, and drop those that are not any more."""
        ...

    async def read_indexes(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        """The members of each index that have not expired at `now`, the earliest to expire first."""
        ...

    async def remove_from_index(self, key: str, *members: str) -> None: ...

    async def count(self, key: str, *, window: float) -> int:
        """How often this was called for the key since its window began, this call included.

        A window begins with its first call and is never prolonged; counting is atomic.
        """
        ...

    async def run_confirmed(self, write: Callable[[], Awaitable[T]]) -> T:
        """What `write` returns, once it is certain that it wrote to the server that the store's
        address leads to; `write` is called again if that has changed meanwhile. For what must not
        be reported as done when only a former primary knows of it. Raises `StoreUnavailable`."""
        ...

    def subscribe(
        self, listener: InvalidationListener, *, prefixes: tuple[str, ...]
    ) -> InvalidationSubscription:
        """Tell a listener of every change to keys that begin so; without prefixes, only see to it
        that a former primary is left. Nothing happens before `start`."""
        ...

    async def check_ready(self) -> None:
        """Raise `StoreUnavailable` unless the store can be written to now."""
        ...

    async def aclose(self) -> None: ...
