"""Reads a whole Redis hash that the operator maintains, within bounds. Must not know what it
means."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from redis.exceptions import AskError, MovedError, RedisError

from authz_sidecar.sessions.redis.clients import BoundedClient, RedisConnections, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_sidecar.sessions.redis.connections import IdentifiedConnection
    from authz_sidecar.sessions.store_url import StoreLocation

MAX_FIELDS = 100_000
MAX_BYTES = 16 << 20

_FIELDS_PER_SCAN = 500
MAX_REDIRECTS = 3


class RedisHash:
    """A hash in Redis.

    Each read uses a new connection, so that it reaches the server that the address leads to now,
    which must be a primary. A read uses that server alone, since a cursor is only valid there.
    """

    def __init__(self, connections: RedisConnections, *, key: str, name: str) -> None:
        self._connections = connections
        self._key = key
        self._client = BoundedClient(connections, kind="the Redis", name=name)
        self._connection: IdentifiedConnection | None = None

    @classmethod
    def from_location(cls, location: StoreLocation, *, key: str) -> RedisHash:
        """The hash under `key` at a store location, not connected yet."""
        return cls(open_client(location, identified=False), key=key, name=str(location))

    async def read(self) -> dict[bytes, bytes]:
        """The values by field, each as it was at some moment since the call; empty when the hash
        does not exist or was deleted meanwhile. Raises `StoreUnavailable`, and `ValueError` for
        more than `MAX_FIELDS` fields or `MAX_BYTES` bytes."""
        async with self._client.deadline():
            connection = await self._connections.dedicated_connection_for(self._key)
        asking = False
        for _ in range(MAX_REDIRECTS + 1):
            try:
                return await self._read(connection, asking=asking)
            except _RedirectError as redirect:
                connection = self._connections.dedicated_connection_to(redirect.host, redirect.port)
                asking = redirect.asking
        raise self._client.unavailable("its servers do not agree on which of them has the key")

    async def _read(self, target: IdentifiedConnection, *, asking: bool) -> dict[bytes, bytes]:
        # HSCAN: "a full iteration always retrieves all the elements that were present in the
        # collection from the start to the end of a full iteration", also across a RENAME, since
        # the server hashes every field alike. https://redis.io/docs/latest/commands/scan/
        async with self._opened(target) as connection:
            scan = _Scan(self._client, connection, self._key, asking=asking)
            values: dict[bytes, bytes] = {}
            size = cursor = 0
            while True:
                cursor, page = await scan.next_page(cursor, count=_FIELDS_PER_SCAN)
                size += sum(len(field) + len(value) for field, value in page.items())
                values |= page
                if len(values) > MAX_FIELDS or size > MAX_BYTES:
                    raise ValueError(
                        f"`{self._key}` holds more than {MAX_FIELDS:,} records or"
                        f" {MAX_BYTES >> 20} MiB"
                    )
                if cursor == 0:
                    break
            # A deletion ends the scan as well: the pages before it are not the whole hash.
            next_cursor, page = await scan.next_page(0, count=1)
            return values if page or next_cursor else {}

    @contextlib.asynccontextmanager
    async def _opened(self, target: IdentifiedConnection) -> AsyncIterator[IdentifiedConnection]:
        # The object is reused, though closed after each use: its TLS context reads files.
        connection = self._connection
        if connection is None or connection.address != target.address:
            connection = self._connection = target
        try:
            async with self._client.deadline():
                await connection.connect()
            yield connection
        finally:
            with contextlib.suppress(OSError, RedisError):
                await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()


class _RedirectError(Exception):
    """A redirection to another server of a cluster: permanent (`MOVED`) or, with `asking`, for one
    command while the slot is migrated (`ASK`)."""

    def __init__(self, error: AskError) -> None:
        super().__init__(str(error))
        self.host, self.port = error.host, error.port
        self.asking = not isinstance(error, MovedError)


class _Scan:
    def __init__(
        self, client: BoundedClient, connection: IdentifiedConnection, key: str, *, asking: bool
    ) -> None:
        self._client = client
        self._connection = connection
        self._key = key
        self._asking = asking

    async def next_page(self, cursor: int, *, count: int) -> tuple[int, dict[bytes, bytes]]:
        async with self._client.deadline():
            if self._asking:
                await self._connection.send_command("ASKING")
                await self._connection.read_response()
            await self._connection.send_command("HSCAN", self._key, cursor, "COUNT", count)
            try:
                next_cursor, flat = await self._connection.read_response()
            except AskError as error:
                raise _RedirectError(error) from None
            return int(next_cursor), dict(zip(flat[::2], flat[1::2], strict=True))
