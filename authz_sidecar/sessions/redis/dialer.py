"""A new connection to every primary, made to find out where the addresses lead by now."""

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

_SECONDS = 1.5


class Dialer:
    """Connects to every primary. `then` is awaited with each connection before it is closed."""

    def __init__(
        self,
        connected: RedisConnections,
        *,
        then: Callable[[IdentifiedConnection], Awaitable[None]] | None = None,
    ) -> None:
        self._connected = connected
        self._then = then
        # Kept, though closed after each use: their TLS contexts read files.
        self._connections: dict[str, IdentifiedConnection] = {}
        self._turn = asyncio.Lock()
        self._begun = 0
        self._done = 0

    async def dial(self) -> None:
        """Return when every primary has been connected to since this call; what was found is in
        `PrimaryRegistry`. Callers at the same time share one dial. Raises the client's errors."""
        wanted = self._begun
        async with self._turn:
            if self._done > wanted:
                return
            self._begun += 1
            number = self._begun
            async with asyncio.timeout(_SECONDS):
                dials = map(self._dial, await self._to_all())
                for error in await asyncio.gather(*dials, return_exceptions=True):
                    if isinstance(error, BaseException):
                        raise error
            self._done = number

    async def _to_all(self) -> list[IdentifiedConnection]:
        client = self._connected.client
        if not isinstance(client, RedisCluster):
            if not self._connections:
                self._connections = {
                    each.address: each for each in await self._connected.dedicated_connections()
                }
            return list(self._connections.values())
        primaries = [node.name for node in client.get_primaries()]
        if not primaries or not self._connections.keys() >= set(primaries):
            self._connections = {
                each.address: each for each in await self._connected.dedicated_connections()
            }
            return list(self._connections.values())
        return [self._connections[name] for name in primaries]

    async def _dial(self, connection: IdentifiedConnection) -> None:
        try:
            await connection.connect()
            if self._then is not None:
                await self._then(connection)
        finally:
            with contextlib.suppress(OSError, RedisError):
                await connection.disconnect(nowait=True)
