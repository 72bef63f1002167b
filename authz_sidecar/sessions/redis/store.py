"""The store's commands in Redis or Valkey. Knows nothing of what the values mean.

Every call ends within `DEADLINE` seconds, as an answer or as `StoreUnavailable`. Connections are
made when they are needed, so a Redis that was away is used again as soon as it is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.asyncio.cluster import RedisCluster

from authz_sidecar.sessions.redis.asking import Asking
from authz_sidecar.sessions.redis.clients import Connected, connect
from authz_sidecar.sessions.redis.tracking import Tracking
from authz_sidecar.sessions.store import Entry

if TYPE_CHECKING:
    from authz_sidecar.sessions.location import StoreLocation
    from authz_sidecar.sessions.store import Listener

# One step for the server: nobody else's write comes in between.
_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""

_READY = Entry("az:ready", b"1", 1.0)


class RedisStore:
    """The client's commands, each bounded, and its errors in one word."""

    def __init__(self, connected: Connected, *, name: str) -> None:
        self._connected = connected
        self._name = name
        self._asking = Asking(connected, what="the session store", name=name)

    @classmethod
    def at(cls, location: StoreLocation) -> RedisStore:
        return cls(connect(location), name=str(location))

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        if not keys:
            return ()
        async with self._asking() as client:
            if isinstance(client, RedisCluster):
                return tuple(await client.mget_nonatomic(keys))
            # As `mget` asks, without what that does to find out about its arguments.
            return tuple(await client.execute_command("MGET", *keys))

    async def write(self, *entries: Entry) -> None:
        async with self._asking() as client, client.pipeline(transaction=True) as pipe:
            for entry in entries:
                pipe.set(entry.key, entry.value, px=_milliseconds(entry.ttl))
            await pipe.execute()

    async def write_new(self, entry: Entry) -> bool:
        async with self._asking() as client:
            return bool(
                await client.set(entry.key, entry.value, px=_milliseconds(entry.ttl), nx=True)
            )

    async def rewrite(self, entry: Entry) -> bool:
        async with self._asking() as client:
            return bool(
                await client.set(entry.key, entry.value, px=_milliseconds(entry.ttl), xx=True)
            )

    async def rewrite_all(self, *entries: Entry) -> tuple[bool, ...]:
        if not entries:
            return ()
        async with self._asking() as client, client.pipeline(transaction=False) as pipe:
            for entry in entries:
                pipe.set(entry.key, entry.value, px=_milliseconds(entry.ttl), xx=True)
            return tuple(map(bool, await pipe.execute()))

    async def swap(self, key: str, old: bytes, new: bytes) -> bool:
        async with self._asking() as client:
            return bool(await client.eval(_SWAP, 1, key, old, new))

    async def take(self, key: str) -> bytes | None:
        async with self._asking() as client:
            value: bytes | None = await client.getdel(key)
            return value

    async def delete(self, *keys: str) -> None:
        async with self._asking() as client:
            await client.delete(*keys)

    async def index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        ttl = _milliseconds(expires_at - now)
        async with self._asking() as client, client.pipeline(transaction=True) as pipe:
            pipe.zadd(key, {member: expires_at})
            pipe.zremrangebyscore(key, "-inf", now)
            # The index lives as long as its last member: GT alone never gives a first expiry.
            pipe.pexpire(key, ttl, nx=True)
            pipe.pexpire(key, ttl, gt=True)
            await pipe.execute()

    async def indexed(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        async with self._asking() as client, client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.zrangebyscore(key, f"({now!r}", "+inf")
            return tuple(
                tuple(member.decode() for member in members) for members in await pipe.execute()
            )

    async def unindex(self, key: str, *members: str) -> None:
        async with self._asking() as client:
            await client.zrem(key, *members)

    async def count(self, key: str, *, window: float) -> int:
        async with self._asking() as client, client.pipeline(transaction=True) as pipe:
            pipe.set(key, 0, px=_milliseconds(window), nx=True)
            pipe.incr(key)
            return int((await pipe.execute())[1])

    def watch(self, listener: Listener, *, prefixes: tuple[str, ...]) -> Tracking:
        return Tracking(self._connected.client, listener, prefixes=prefixes, name=self._name)

    async def ready(self) -> None:
        # A write, because a replica or a full Redis answers PING just as well.
        await self.write(_READY)

    async def aclose(self) -> None:
        await self._connected.aclose()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
