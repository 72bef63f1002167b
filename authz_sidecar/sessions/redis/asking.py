"""What is asked of a Redis ends within a bounded time, and fails in one word."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisClusterException, RedisError

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.redis.clients import MAX_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_sidecar.sessions.redis.clients import Connected

DEADLINE = 2.0


class Asking:
    """`what` and `name` say who does not answer. Calls that wait for a connection wait here."""

    __slots__ = ("_connected", "_name", "_places", "_what")

    def __init__(self, connected: Connected, *, what: str, name: str) -> None:
        self._connected = connected
        self._what = what
        self._name = name
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[Any]:
        """The client, for `DEADLINE` seconds. Raises `StoreUnavailable`."""
        try:
            async with asyncio.timeout(DEADLINE), self._places:
                yield self._connected.client
        # Beside its own errors the client lets those of sockets, DNS and its parsers through.
        except (RedisError, RedisClusterException, OSError, ValueError, RuntimeError) as error:
            reason = str(error) or type(error).__name__
            raise StoreUnavailable(
                f"{self._what} `{self._name}` cannot answer: {reason}"
            ) from error
