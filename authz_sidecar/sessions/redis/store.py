"""The store's commands in Redis or Valkey. Knows nothing of what the values mean.

Every call ends within `DEADLINE_SECONDS` seconds, as an answer or as `StoreUnavailable`.
Connections are made when they are needed, so a Redis that was away is used again as soon as it is
back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from redis.asyncio.cluster import RedisCluster

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.redis.clients import BoundedClient, RedisConnections, open_client
from authz_sidecar.sessions.redis.dialer import Dialer
from authz_sidecar.sessions.redis.invalidation import InvalidationTracker
from authz_sidecar.sessions.redis.replication import Replication
from authz_sidecar.sessions.store import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.sessions.store import InvalidationListener
    from authz_sidecar.sessions.store_url import StoreLocation

T = TypeVar("T")

MAX_ATTEMPTS = 2

# One step for the server: nobody else's write comes in between.
_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""

_READINESS_PROBE = StoreEntry("az:ready", b"1", 1.0)


class RedisStore:
    """The client's commands, each bounded, and its errors in one word."""

    def __init__(self, connections: RedisConnections, *, name: str) -> None:
        self._connections = connections
        self._name = name
        self._client = BoundedClient(connections, kind="the session store", name=name)
        self._dialer = Dialer(connections, then=Replication(name=name).wait_for_replica)

    @classmethod
    def from_location(cls, location: StoreLocation) -> RedisStore:
        return cls(open_client(location), name=str(location))

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        if not keys:
            return ()

        async def ask(client: Any) -> tuple[bytes | None, ...]:
            if isinstance(client, RedisCluster):
                return tuple(await client.mget_nonatomic(keys))
            # As `mget` asks, without what that does to find out about its arguments.
            return tuple(await client.execute_command("MGET", *keys))

        return await self._client(ask)

    async def write(self, *entries: StoreEntry) -> None:
        async def ask(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipe:
                for entry in entries:
                    pipe.set(entry.key, entry.value, px=_milliseconds(entry.ttl))
                await pipe.execute()

        await self._client(ask)

    async def write_if_absent(self, entry: StoreEntry) -> bool:
        return await self._set(entry, nx=True)

    async def write_if_present(self, entry: StoreEntry) -> bool:
        return await self._set(entry, xx=True)

    async def _set(self, entry: StoreEntry, **only: bool) -> bool:
        ttl = _milliseconds(entry.ttl)
        return bool(
            await self._client(lambda client: client.set(entry.key, entry.value, px=ttl, **only))
        )

    async def write_all_if_present(self, *entries: StoreEntry) -> tuple[bool, ...]:
        if not entries:
            return ()

        async def ask(client: Any) -> tuple[bool, ...]:
            async with client.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.set(entry.key, entry.value, px=_milliseconds(entry.ttl), xx=True)
                return tuple(map(bool, await pipe.execute()))

        return await self._client(ask)

    async def compare_and_swap(self, key: str, expected: bytes, value: bytes) -> bool:
        return bool(await self._client(lambda client: client.eval(_SWAP, 1, key, expected, value)))

    async def read_and_delete(self, key: str) -> bytes | None:
        value: bytes | None = await self._client(lambda client: client.getdel(key))
        return value

    async def delete(self, *keys: str) -> None:
        await self._client(lambda client: client.delete(*keys))

    async def add_to_index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        ttl = _milliseconds(expires_at - now)

        async def ask(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipe:
                pipe.zadd(key, {member: expires_at})
                pipe.zremrangebyscore(key, "-inf", now)
                # The index lives as long as its last member: GT alone never gives a first expiry.
                pipe.pexpire(key, ttl, nx=True)
                pipe.pexpire(key, ttl, gt=True)
                await pipe.execute()

        await self._client(ask)

    async def read_indexes(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        async def ask(client: Any) -> tuple[tuple[str, ...], ...]:
            async with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.zrangebyscore(key, f"({now!r}", "+inf")
                return tuple(
                    tuple(member.decode() for member in members) for members in await pipe.execute()
                )

        return await self._client(ask)

    async def remove_from_index(self, key: str, *members: str) -> None:
        await self._client(lambda client: client.zrem(key, *members))

    async def count(self, key: str, *, window: float) -> int:
        async def ask(client: Any) -> int:
            async with client.pipeline(transaction=True) as pipe:
                pipe.set(key, 0, px=_milliseconds(window), nx=True)
                pipe.incr(key)
                return int((await pipe.execute())[1])

        return await self._client(ask)

    async def run_confirmed(self, write: Callable[[], Awaitable[T]]) -> T:
        primaries = self._connections.primaries
        for _ in range(MAX_ATTEMPTS):
            term = primaries.term
            result = await write()
            try:
                async with self._client.deadline():
                    await self._dialer.dial()
            except StoreUnavailable:
                # The servers of a cluster themselves refuse keys that they do not hold, and the one
                # that is away need not be the one that was written to.
                if not self._connections.is_cluster:
                    raise
            if primaries.term == term:
                return result
        raise self._client.unavailable("its primary keeps changing")

    def subscribe(
        self, listener: InvalidationListener, *, prefixes: tuple[str, ...]
    ) -> InvalidationTracker:
        return InvalidationTracker(self._connections, listener, prefixes=prefixes, name=self._name)

    async def check_ready(self) -> None:
        # A write, because a replica or a full Redis answers PING just as well.
        await self.write(_READINESS_PROBE)

    async def aclose(self) -> None:
        await self._connections.aclose()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
