"""Opens a new connection to every primary, to see which servers the addresses lead to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.sessions.redis.clients import RedisConnections
    from authz_sidecar.sessions.redis.connections import IdentifiedConnection

_TIMEOUT_SECONDS = 1.5


class Dialer:
    """Connects to every primary and disconnects again.

    `connections`: the Redis.
    `then`: awaited with each connection before it is closed.
    """

    def __init__(
        self,
        connections: RedisConnections,
        *,
        then: Callable[[IdentifiedConnection], Awaitable[None]] | None = None,
    ) -> None:
        self._connections = connections
        self._then = then
        # The objects are reused, though closed after each use: their TLS contexts read files.
        self._by_address: dict[str, IdentifiedConnection] = {}
        self._lock = asyncio.Lock()
        self._last_started = 0
        self._last_finished = 0

    async def dial(self) -> None:
        """Return once every primary was connected to since this call; the connections report to
        `PrimaryRegistry`. Concurrent callers share one dial. Raises the client's errors, and
        `TimeoutError` after `_TIMEOUT_SECONDS`."""
        started_before = self._last_started
        async with self._lock:
            if self._last_finished > started_before:
                return
            self._last_started += 1
            number = self._last_started
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                dials = map(self._dial, await self._primary_connections())
                for error in await asyncio.gather(*dials, return_exceptions=True):
                    if isinstance(error, BaseException):
                        raise error
            self._last_finished = number

    async def _primary_connections(self) -> list[IdentifiedConnection]:
        client = self._connections.client
        if not isinstance(client, RedisCluster):
            return list((self._by_address or await self._new_connections()).values())
        primaries = [node.name for node in client.get_primaries()]
        if not primaries or not self._by_address.keys() >= set(primaries):
            return list((await self._new_connections()).values())
        return [self._by_address[name] for name in primaries]

    async def _new_connections(self) -> dict[str, IdentifiedConnection]:
        self._by_address = {
            connection.address: connection
            for connection in await self._connections.dedicated_connections()
        }
        return self._by_address

    async def _dial(self, connection: IdentifiedConnection) -> None:
        try:
            await connection.connect()
            if self._then is not None:
                await self._then(connection)
        finally:
            with contextlib.suppress(OSError, RedisError):
                await connection.disconnect(nowait=True)
