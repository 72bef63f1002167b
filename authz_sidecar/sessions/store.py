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
class Entry:
    """One key to be written; it is gone after `ttl` seconds."""

    key: str
    value: bytes
    ttl: float


class Reads(Protocol):
    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        """All values in one round trip, in the order of the keys; None for what is not there."""
        ...


class Listener(Protocol):
    """Who keeps copies of what the store holds. No method may raise or wait.

    Times are of the monotonic clock: that of a question whose answer has come. Whatever the store
    did before it answered has been told by then.
    """

    def begun(self, at: float) -> None:
        """From `at` on every change is told; of what was before, nothing is known."""
        ...

    def answered(self, at: float) -> None: ...

    def changed(self, keys: Iterable[str]) -> None:
        """These keys were written, deleted, evicted or have expired."""
        ...

    def all_changed(self) -> None: ...

    def lost(self) -> None:
        """Changes may go untold, until `begun`."""
        ...

    def refused(self) -> None:
        """The store will not tell of changes, and will not soon."""
        ...


class Watch(Protocol):
    def start(self) -> None:
        """Begin to tell, in the background, and to begin anew whenever that is lost."""
        ...

    async def aclose(self) -> None: ...


class SessionStore(Reads, Protocol):
    """Keys whose text has the same part in braces lie together, and only those do."""

    async def write(self, *entries: Entry) -> None:
        """Write keys that lie together: all of them or none."""
        ...

    async def write_new(self, entry: Entry) -> bool:
        """Write only if the key is not there; whether it was written."""
        ...

    async def rewrite(self, entry: Entry) -> bool:
        """Write only if the key is still there; whether it was written."""
        ...

    async def rewrite_all(self, *entries: Entry) -> tuple[bool, ...]:
        """`rewrite` for each of them, wherever they lie, in one round trip."""
        ...

    async def swap(self, key: str, old: bytes, new: bytes) -> bool:
        """Write `new` only if the key still holds `old`, and leave its expiry as it is; whether it
        was written."""
        ...

    async def take(self, key: str) -> bytes | None:
        """Read and delete in one step: of several callers one gets the value."""
        ...

    async def delete(self, *keys: str) -> None:
        """Delete keys that lie together; those that are not there do not matter."""
        ...

    async def index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        """Add a member that is listed until `expires_at`, and drop those that are not any more."""
        ...

    async def indexed(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        """The members of each index that have not expired at `now`, the earliest to expire first."""
        ...

    async def unindex(self, key: str, *members: str) -> None: ...

    async def count(self, key: str, *, window: float) -> int:
        """How often this was called for the key since its window began, this call included.

        A window begins with its first call and is never prolonged; counting is atomic.
        """
        ...

    async def confirmed(self, write: Callable[[], Awaitable[T]]) -> T:
        """What `write` returns, once it is certain that it wrote to the server that the store's
        address leads to; `write` is called again if that has changed meanwhile. For what must not
        be reported as done when only a former primary knows of it. Raises `StoreUnavailable`."""
        ...

    def watch(self, listener: Listener, *, prefixes: tuple[str, ...]) -> Watch:
        """Tell a listener of every change to keys that begin so; without prefixes, only see to it
        that a former primary is left. Nothing happens before `start`."""
        ...

    async def ready(self) -> None:
        """Raise `StoreUnavailable` unless the store can be written to now."""
        ...

    async def aclose(self) -> None: ...
