"""A hash of the operator's, read whole and within bounds. Knows nothing of what the values mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.sessions.redis.asking import Asking
from authz_sidecar.sessions.redis.clients import Connected, connect

if TYPE_CHECKING:
    from authz_sidecar.sessions.location import StoreLocation

MOST_FIELDS = 100_000
MOST_BYTES = 16 << 20

_FIELDS_AT_A_TIME = 500


class RedisHash:
    def __init__(self, connected: Connected, *, key: str, name: str) -> None:
        self._connected = connected
        self._key = key
        self._asking = Asking(connected, what="the Redis", name=name)

    @classmethod
    def at(cls, location: StoreLocation, *, key: str) -> RedisHash:
        """Connects to nothing yet."""
        return cls(connect(location), key=key, name=str(location))

    async def read(self) -> dict[bytes, bytes]:
        """Each field as it was at some moment since the call; empty where there is no such hash, or
        none any more. Raises `StoreUnavailable`, and `ValueError` for
        a hash that is too large."""
        # HSCAN: "a full iteration always retrieves all the elements that were present in the
        # collection from the start to the end of a full iteration", also across a RENAME, since
        # the server hashes every field alike. https://redis.io/docs/latest/commands/scan/
        found: dict[bytes, bytes] = {}
        size = cursor = 0
        while True:
            cursor, some = await self._some(cursor, count=_FIELDS_AT_A_TIME)
            size += sum(len(field) + len(value) for field, value in some.items())
            found |= some
            if len(found) > MOST_FIELDS or size > MOST_BYTES:
                raise ValueError(
                    f"`{self._key}` holds more than {MOST_FIELDS:,} records or {MOST_BYTES >> 20}"
                    " MiB"
                )
            if cursor == 0:
                break
        # A hash that goes away on the way ends it as well: what was read until then is no table.
        following, left = await self._some(0, count=1)
        return found if left or following else {}

    async def _some(self, cursor: int, *, count: int) -> tuple[int, dict[bytes, bytes]]:
        async with self._asking() as client:
            following, some = await client.hscan(self._key, cursor, count=count)
        return int(following), some

    async def aclose(self) -> None:
        await self._connected.aclose()
