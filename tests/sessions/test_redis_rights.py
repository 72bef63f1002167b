"""The rights that docs/redis.md lists are enough, and each of them is used."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.redis import RedisHash
from authz_sidecar.sessions.store import StoreEntry
from authz_sidecar.sessions.store_url import parse_store_url
from tests.servers.redis import running_redis
from tests.servers.redis_groups import has_replica
from tests.sessions.caches import build_sessions, find, open_near_cache, wait_until
from tests.sessions.conftest import sign_in
from tests.sessions.failover import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.sessions.store import SessionStore
    from tests.servers.redis import RedisServer, RedisStarter
    from tests.servers.redis_groups import Cluster

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
[SERVER, CLUSTER, TABLE] = [
    block.split() for block in re.findall(r"```\n(ACL SETUSER .*?)\n```", PAGE, re.DOTALL)
]
RIGHTS = [word for word in SERVER if word.startswith("+")]


def allow(server: RedisServer, words: list[str], *, without: str = "") -> None:
    server.command(*(word for word in words if word != without))
    server.command("ACL", "LOG", "RESET")


def denied(server: RedisServer) -> set[str]:
    return {entry[b"object"].decode() for entry in map(_entry, server.command("ACL", "LOG"))}


def _entry(logged: object) -> dict[bytes, bytes]:
    if isinstance(logged, dict):
        return logged
    assert isinstance(logged, list)
    return dict(zip(logged[::2], logged[1::2], strict=True))


def url_of(server: RedisServer, words: list[str], *, db: int = 0) -> str:
    user, secret = words[2], next(word[1:] for word in words if word.startswith(">"))
    return f"redis://{user}:{secret}@127.0.0.1:{server.port}/{db}"


async def use(store: SessionStore) -> None:
    """Everything that a server does with it."""
    entry = StoreEntry("az:{x}", b"1", 60)
    await store.write(entry, entry)
    await store.read(entry.key)
    await store.write_if_absent(entry)
    await store.write_if_present(entry)
    await store.write_all_if_present(entry)
    await store.compare_and_swap(entry.key, b"1", b"2")
    await store.read_and_delete(entry.key)
    await store.delete(entry.key)
    await store.add_to_index("az:i", "a", expires_at=2.0, now=1.0)
    await store.read_indexes("az:i", now=1.0)
    await store.remove_from_index("az:i", "a")
    await store.count("az:c", window=60)
    await store.check_ready()
    async with open_near_cache(store, start=False) as cache:
        cache.start()
        await wait_until(lambda: cache.coherent or cache.refused)
        sessions = build_sessions(store)
        token, session = await sign_in(sessions)
        await find(cache, token)
        await sessions.end(session)
        assert not cache.refused


@pytest.fixture(scope="module")
def replicated(redis_binary: str) -> Iterator[RedisServer]:
    """With a replica, or nothing would be waited for."""
    with running_redis(redis_binary, "--repl-diskless-sync-delay", "0") as primary:
        replica_of = ("--replicaof", "127.0.0.1", str(primary.port))
        with running_redis(redis_binary, *replica_of):
            deadline = time.monotonic() + 20
            while not has_replica(primary):
                assert time.monotonic() < deadline, "nobody follows"
                time.sleep(0.05)
            yield primary


async def test_they_are_enough(replicated: RedisServer) -> None:
    allow(replicated, SERVER)
    async with opened(url_of(replicated, SERVER, db=1)) as store:
        await use(store)
    assert denied(replicated) == set()


@pytest.mark.parametrize("right", RIGHTS)
async def test_each_of_them_is_used(replicated: RedisServer, right: str) -> None:
    allow(replicated, ["ACL", "SETUSER", SERVER[2], "reset"])
    allow(replicated, SERVER, without=right)
    async with opened(url_of(replicated, SERVER, db=1)) as store:
        with contextlib.suppress(StoreUnavailable, AssertionError):
            await use(store)
    assert right.removeprefix("+") in denied(replicated)


async def test_in_a_cluster_they_are_enough_with_more(redis_cluster: Cluster) -> None:
    for node in redis_cluster.nodes:
        allow(node, SERVER)
        allow(node, CLUSTER)
    user, secret = SERVER[2], next(word[1:] for word in SERVER if word.startswith(">"))
    try:
        async with opened(redis_cluster.url.replace("://", f"://{user}:{secret}@")) as store:
            await use(store)
        for node in redis_cluster.nodes:
            assert denied(node) == set()
    finally:
        for node in redis_cluster.nodes:
            node.command("ACL", "DELUSER", user)


async def test_a_table_needs_less(start_redis: RedisStarter) -> None:
    server = start_redis()
    key = next(word[1:] for word in TABLE if word.startswith("~"))
    allow(server, TABLE)
    table = RedisHash.from_location(parse_store_url(url_of(server, TABLE, db=2)), key=key)
    assert await table.read() == {}
    await table.aclose()
    assert denied(server) == set()
