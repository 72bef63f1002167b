"""The session store in Redis or Valkey. Knows nothing of what the values mean.

Every call ends within a bounded time, with a result or `StoreUnavailable`. Connections are made on
demand, so that a Redis that was unreachable is used again once it is back.
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

# A script is atomic: no other write comes in between.
_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
"""

_READINESS_PROBE = StoreEntry("az:ready", b"1", 1.0)


class RedisStore:
    """A `SessionStore` in Redis. All asynchronous methods raise `StoreUnavailable` when Redis
    fails."""

    def __init__(self, connections: RedisConnections, *, name: str) -> None:
        self._connections = connections
        self._name = name
        self._client = BoundedClient(connections, kind="the session store", name=name)
        self._dialer = Dialer(connections, then=Replication(name=name).wait_for_replica)

    @classmethod
    def from_location(cls, location: StoreLocation) -> RedisStore:
        """The store at a location, not connected yet."""
        return cls(open_client(location), name=str(location))

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        """The values of the keys, in their order; None for a key that does not exist (MGET)."""
        if not keys:
            return ()

        async def command(client: Any) -> tuple[bytes | None, ...]:
            if isinstance(client, RedisCluster):
                return tuple(await client.mget_nonatomic(keys))
            # As `mget`, without its inspection of the arguments.
            return tuple(await client.execute_command("MGET", *keys))

        return await self._client(command)

    async def write(self, *entries: StoreEntry) -> None:
        """Write entries with the same hash tag in one transaction: all or none."""

        async def command(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipe:
                for entry in entries:
                    pipe.set(entry.key, entry.value, px=_milliseconds(entry.ttl))
                await pipe.execute()

        await self._client(command)

    async def write_if_absent(self, entry: StoreEntry) -> bool:
        """Write the entry unless its key exists (SET NX); returns whether it was written."""
        return await self._set(entry, nx=True)

    async def write_if_present(self, entry: StoreEntry) -> bool:
        """Write the entry only if its key exists (SET XX); returns whether it was written."""
        return await self._set(entry, xx=True)

    async def _set(self, entry: StoreEntry, **only: bool) -> bool:
        ttl = _milliseconds(entry.ttl)
        return bool(
            await self._client(lambda client: client.set(entry.key, entry.value, px=ttl, **only))
        )

    async def write_all_if_present(self, *entries: StoreEntry) -> tuple[bool, ...]:
        """Call `write_if_present` for entries with any hash tags, in one pipeline; returns which
        were written."""
        if not entries:
            return ()

        async def command(client: Any) -> tuple[bool, ...]:
            async with client.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.set(entry.key, entry.value, px=_milliseconds(entry.ttl), xx=True)
                return tuple(map(bool, await pipe.execute()))

        return await self._client(command)

    async def compare_and_swap(self, key: str, expected: bytes, value: bytes) -> bool:
        """Replace `expected` by `value` and keep the expiry; returns whether the key held
        `expected`."""
        return bool(await self._client(lambda client: client.eval(_SWAP, 1, key, expected, value)))

    async def read_and_delete(self, key: str) -> bytes | None:
        """The value of the key, which is deleted in the same step (GETDEL); None without one."""
        value: bytes | None = await self._client(lambda client: client.getdel(key))
        return value

    async def delete(self, *keys: str) -> None:
        """Delete keys with the same hash tag; missing keys are ignored."""
        await self._client(lambda client: client.delete(*keys))

    async def add_to_index(self, key: str, member: str, *, expires_at: float, now: float) -> None:
        """Add a member to a sorted set until `expires_at`, and drop its expired members."""
        ttl = _milliseconds(expires_at - now)

        async def command(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipe:
                pipe.zadd(key, {member: expires_at})
                pipe.zremrangebyscore(key, "-inf", now)
                # The index expires with its last member. GT alone never sets a first expiry.
                pipe.pexpire(key, ttl, nx=True)
                pipe.pexpire(key, ttl, gt=True)
                await pipe.execute()

        await self._client(command)

    async def read_indexes(self, *keys: str, now: float) -> tuple[tuple[str, ...], ...]:
        """The members of each sorted set that have not expired at `now`, the earliest to expire
        first."""

        async def command(client: Any) -> tuple[tuple[str, ...], ...]:
            async with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.zrangebyscore(key, f"({now!r}", "+inf")
                return tuple(
                    tuple(member.decode() for member in members) for members in await pipe.execute()
                )

        return await self._client(command)

    async def remove_from_index(self, key: str, *members: str) -> None:
        """Remove members from a sorted set; missing ones are ignored."""
        await self._client(lambda client: client.zrem(key, *members))

    async def count(self, key: str, *, window: float) -> int:
        """The number of calls for this key in its current window of `window` seconds, including
        this one."""

        async def command(client: Any) -> int:
            async with client.pipeline(transaction=True) as pipe:
                pipe.set(key, 0, px=_milliseconds(window), nx=True)
                pipe.incr(key)
                return int((await pipe.execute())[1])

        return await self._client(command)

    async def run_confirmed(self, write: Callable[[], Awaitable[T]]) -> T:
        """The result of `write`, once new connections have reached the same primaries as before it
        and have waited for a replica (`Replication`). `write` is called at most `MAX_ATTEMPTS`
        times. Raises `StoreUnavailable`."""
        primaries = self._connections.primaries
        for _ in range(MAX_ATTEMPTS):
            term = primaries.term
            result = await write()
            try:
                async with self._client.deadline():
                    await self._dialer.dial()
            except StoreUnavailable:
                # Servers of a cluster refuse keys that they do not hold, and an unreachable one need
                # not be the one that was written to.
                if not self._connections.is_cluster:
                    raise
            if primaries.term == term:
                return result
        raise self._client.unavailable("its primary keeps changing")

    def subscribe(
        self, listener: InvalidationListener, *, prefixes: tuple[str, ...]
    ) -> InvalidationTracker:
        """A subscription, not started yet, that reports every change to keys with these
        prefixes."""
        return InvalidationTracker(self._connections, listener, prefixes=prefixes, name=self._name)

    async def check_ready(self) -> None:
        """Write a key that expires after a second: a replica or a full Redis answers PING as
        well."""
        await self.write(_READINESS_PROBE)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
