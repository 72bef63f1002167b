"""What is asked of a Redis ends within a bounded time, and fails in one word."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import RedisClusterException, RedisError, ResponseError

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.redis.clients import MAX_CONNECTIONS
from authz_sidecar.sessions.redis.connections import PrimaryChangedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from authz_sidecar.sessions.redis.clients import Connected

DEADLINE = 2.0

T = TypeVar("T")

_REPLICA_ERRORS = ("READONLY", "MASTERDOWN")


class Asking:
    """`what` and `name` say who does not answer. Calls that wait for a connection wait here."""

    __slots__ = ("_connected", "_name", "_places", "_what")

    def __init__(self, connected: Connected, *, what: str, name: str) -> None:
        self._connected = connected
        self._what = what
        self._name = name
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def __call__(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        """What `ask` returns, given the client. It is called a second time after a replica has
        refused it, or the primary has changed while it connected. Raises `StoreUnavailable`."""
        async with self.bounded():
            try:
                return await ask(self._connected.client)
            except PrimaryChangedError:
                pass
            except ResponseError as error:
                if not any(word in str(error) for word in _REPLICA_ERRORS):
                    raise
                self._connected.primaries.end_term("it refuses as a replica does")
            return await ask(self._connected.client)

    @contextlib.asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """`DEADLINE` seconds for what is done inside. Raises `StoreUnavailable` for its errors."""
        try:
            async with asyncio.timeout(DEADLINE), self._places:
                yield
        # Beside its own errors the client lets those of sockets, DNS and its parsers through.
        except (RedisError, RedisClusterException, OSError, ValueError, RuntimeError) as error:
            raise self.unavailable(str(error) or type(error).__name__) from error

    def unavailable(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(f"{self._what} `{self._name}` cannot answer: {reason}")
