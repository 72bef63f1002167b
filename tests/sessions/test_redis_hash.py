"""A hash in any kind of Redis: read whole, within bounds, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.redis import RedisHash
from authz_sidecar.sessions.redis.clients import open_client
from authz_sidecar.sessions.redis.hashes import MAX_BYTES, MAX_FIELDS
from authz_sidecar.sessions.store_url import parse_store_url
from tests.servers.redis_groups import running_cluster
from tests.servers.sidecar import free_ports
from tests.sessions.failover import FORMER
from tests.sessions.forwarder import forwarding
from tests.sessions.stores import STORES, store_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.servers.redis import RedisServer, RedisStarter

KEY = "staff"
IN_REDIS = [name for name in STORES if name != "memory"]


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisHash]:
    table = RedisHash.from_location(parse_store_url(url), key=KEY)
    try:
        yield table
    finally:
        await table.aclose()


async def put(url: str, fields: Mapping[bytes, bytes], *, key: str = KEY) -> None:
    connected = open_client(parse_store_url(url))
    try:
        await connected.client.delete(key)
        pairs = [each for pair in fields.items() for each in pair]
        for at in range(0, len(pairs), 20_000):
            await connected.client.execute_command("HSET", key, *pairs[at : at + 20_000])
    finally:
        await connected.aclose()


@pytest.fixture(params=IN_REDIS)
def url(request: pytest.FixtureRequest) -> str:
    return store_url(request.param, request)


@pytest.mark.parametrize("size", [0, 3, 5000])
async def test_it_is_read_whole(url: str, size: int) -> None:
    fields = {b"u%d" % number: b'{"level": %d}' % number for number in range(size)}
    await put(url, fields)
    async with opened(url) as table:
        assert await table.read() == fields


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({b"%d" % number: b"{}" for number in range(MAX_FIELDS + 1)}, id="records"),
        pytest.param({b"%d" % n: b" " * (MAX_BYTES // 16) for n in range(17)}, id="bytes"),
    ],
)
async def test_one_that_is_too_large_is_refused(
    redis_server: RedisServer, fields: dict[bytes, bytes]
) -> None:
    await put(redis_server.url, fields)
    async with opened(redis_server.url) as table:
        with pytest.raises(ValueError, match="`staff` holds more than 100,000 records or 16 MiB"):
            await table.read()
    redis_server.flush()


async def test_records_that_stay_are_seen_while_a_table_is_replaced(
    redis_server: RedisServer,
) -> None:
    old = {b"u%d" % number: b"old" for number in range(3000)}
    more = {b"v%d" % number: b"new" for number in range(9000)}
    await put(redis_server.url, old)
    async with opened(redis_server.url) as table:
        for turn in range(5):
            await put(redis_server.url, dict.fromkeys(old, b"new") | more, key="next")
            reading = asyncio.create_task(table.read())
            await asyncio.sleep(turn / 500)
            redis_server.command("RENAME", "next", KEY)
            assert (await reading).keys() >= old.keys()
    redis_server.flush()


async def test_a_table_that_goes_away_meanwhile_is_no_table(redis_server: RedisServer) -> None:
    fields = {b"u%d" % number: b"{}" for number in range(20_000)}
    async with opened(redis_server.url) as table:
        for turn in range(5):
            await put(redis_server.url, fields)
            reading = asyncio.create_task(table.read())
            await asyncio.sleep(turn / 500)
            redis_server.flush()
            assert await reading in ({}, fields)


async def test_another_type_is_refused(redis_server: RedisServer) -> None:
    redis_server.command("SET", KEY, "x")
    async with opened(redis_server.url) as table:
        with pytest.raises(
            StoreUnavailable, match=r"the Redis `redis://127.*` cannot answer: WRONG"
        ):
            await table.read()
    redis_server.flush()


async def test_a_user_who_may_read_nothing_else(start_redis: RedisStarter) -> None:
    redis = start_redis()
    redis.command("HSET", KEY, "u1", "{}")
    redis.command("ACL", "SETUSER", "reader", "on", ">hunter2", f"~{KEY}", "+hscan")
    async with opened(f"redis://reader:hunter2@127.0.0.1:{redis.port}/0") as table:
        assert await table.read() == {b"u1": b"{}"}


@pytest.mark.parametrize("former", FORMER)
@pytest.mark.parametrize("socket", [False, True], ids=["address", "socket"])
async def test_after_a_failover_it_is_read_from_the_new_primary(
    start_redis: RedisStarter, former: str, *, socket: bool
) -> None:
    """At once: what somebody may no longer is not believed for longer than any other change."""
    old, new = start_redis(), start_redis()
    old.command("HSET", KEY, "u1", "old", "u2", "old")
    new.command("HSET", KEY, "u1", "new")
    target = old.socket_path if socket else old.port
    async with forwarding(target, socket=socket) as link, opened(link.url) as table:
        assert await table.read() == {b"u1": b"old", b"u2": b"old"}
        link.lead_to(new.socket_path if socket else new.port)
        FORMER[former](old)
        assert await table.read() == {b"u1": b"new"}
        old.resume()


async def test_a_replica_is_not_read(start_redis: RedisStarter) -> None:
    primary, replica = start_redis("--repl-diskless-sync-delay", "0"), start_redis()
    primary.command("HSET", KEY, "u1", "{}")
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    async with opened(replica.url) as table:
        with pytest.raises(StoreUnavailable, match="read only replica"):
            await table.read()


async def test_all_of_it_comes_from_one_server(start_redis: RedisStarter) -> None:
    """Whatever becomes of the address while it is read: never a part of one and a part of another."""
    old, new = start_redis(), start_redis()
    for server, value in ((old, b"old"), (new, b"new")):
        await put(server.url, {b"%d" % number: value for number in range(20_000)})
    async with forwarding(old.port) as link, opened(link.url) as table:
        for turn in range(6):
            reading = asyncio.create_task(table.read())
            await asyncio.sleep(turn / 200)
            link.lead_to((old if turn % 2 else new).port)
            for server in (old, new):
                server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with contextlib.suppress(StoreUnavailable):
                found = await reading
                assert len(found) == 20_000
                assert len(set(found.values())) == 1


async def read_at_last(table: RedisHash) -> dict[bytes, bytes]:
    """Servers that have not heard of a move yet may lead in a circle."""
    for _ in range(40):
        with contextlib.suppress(StoreUnavailable):
            return await table.read()
        await asyncio.sleep(0.1)
    return await table.read()


async def test_one_that_moves_in_a_cluster_is_read_on_the_way(redis_binary: str) -> None:
    """Its slot is being moved (ASK), and has been moved without our having heard of it (MOVED)."""
    fields = {b"u%d" % number: b"{}" for number in range(1200)}
    with running_cluster(redis_binary) as cluster:
        await put(cluster.url, fields)
        slot = cluster.nodes[0].command("CLUSTER", "KEYSLOT", KEY)
        [source] = [
            each for each in cluster.nodes if each.command("CLUSTER", "COUNTKEYSINSLOT", slot)
        ]
        target = next(each for each in cluster.nodes if each is not source)
        async with opened(cluster.url) as table:
            assert await table.read() == fields
            names = [each.command("CLUSTER", "MYID") for each in (source, target)]
            target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
            source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
            source.command("MIGRATE", "127.0.0.1", target.port, KEY, 0, 5000)
            assert await table.read() == fields
            # Those who were not told lead there all the same.
            target.command("CLUSTER", "SETSLOT", slot, "NODE", names[1])
            source.command("CLUSTER", "SETSLOT", slot, "NODE", names[1])
            for _ in range(4):
                assert await read_at_last(table) == fields


async def test_nobody_there() -> None:
    async with opened(f"redis://:hunter2@127.0.0.1:{free_ports(1)[0]}") as table:
        with pytest.raises(StoreUnavailable) as refused:
            await table.read()
    assert "hunter2" not in str(refused.value)
