"""Redis in trouble: a clear word within a bounded time, and recovery without anybody's help."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.redis.clients import DEADLINE_SECONDS, MAX_CONNECTIONS
from authz_sidecar.sessions.service import SessionService
from authz_sidecar.sessions.store import StoreEntry
from tests.servers.listening import Listening
from tests.servers.redis_groups import running_sentinel
from tests.servers.sidecar import free_ports
from tests.sessions.conftest import HOUR, OLD, is_active, sign_in

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable

    from authz_sidecar.sessions.store import SessionStore
    from tests.servers.redis import RedisServer, RedisStarter

ENTRY = StoreEntry("az:test", b"1", 60)


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[SessionStore]:
    store = open_store(url)
    try:
        yield store
    finally:
        await store.aclose()


def sessions_on(store: SessionStore) -> SessionService:
    return SessionService(
        store=store, secret_keys=SecretKeys([OLD]), lifetime=10 * HOUR, idle_timeout=HOUR
    )


async def refused(asking: Awaitable[object], *, within: float = DEADLINE_SECONDS + 1) -> str:
    start = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        await asking
    assert time.monotonic() - start < within
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "redis+cluster"])
async def test_nobody_there(scheme: str) -> None:
    one, other = free_ports(2)
    hosts = f"127.0.0.1:{one}" if scheme == "redis" else f"127.0.0.1:{one},127.0.0.1:{other}"
    path = "/sessions" if scheme == "redis+sentinel" else ""
    async with opened(f"{scheme}://:hunter2@{hosts}{path}") as store:
        for asking in (store.check_ready(), store.read("az:test"), store.write(ENTRY, ENTRY)):
            message = await refused(asking)
            assert message.startswith(f"the session store `{scheme}://{hosts}{path}` cannot answer")
            assert "hunter2" not in message


async def test_no_such_socket() -> None:
    async with opened("unix:///nowhere/redis.sock") as store:
        assert "`unix:///nowhere/redis.sock`" in await refused(store.check_ready(), within=0.5)


async def test_every_operation_is_refused_in_the_same_words() -> None:
    (port,) = free_ports(1)
    async with opened(f"redis://127.0.0.1:{port}") as store:
        for asking in (
            store.read("az:test"),
            store.write(ENTRY),
            store.write_if_absent(ENTRY),
            store.write_if_present(ENTRY),
            store.read_and_delete("az:test"),
            store.delete("az:test"),
            store.add_to_index("az:test", "a", expires_at=2.0, now=1.0),
            store.read_indexes("az:test", now=1.0),
            store.remove_from_index("az:test", "a"),
            store.count("az:test", window=60),
            store.check_ready(),
        ):
            assert "cannot answer" in await refused(asking, within=0.5)


async def test_a_restart_is_survived(start_redis: RedisStarter) -> None:
    server = start_redis()
    async with opened(server.url) as store:
        await asyncio.gather(*(store.read("az:test") for _ in range(20)))
        server.stop()
        assert "cannot answer" in await refused(store.read("az:test"), within=0.5)
        server.start()
        assert await asyncio.gather(*(store.read("az:test") for _ in range(50))) == [(None,)] * 50


async def test_idle_connections_that_died_are_not_noticed(start_redis: RedisStarter) -> None:
    server = start_redis()
    async with opened(server.url) as store:
        await asyncio.gather(*(store.write(ENTRY) for _ in range(20)))
        server.stop()
        server.start()
        await asyncio.gather(*(store.write(ENTRY) for _ in range(50)))


async def test_a_redis_that_hangs_costs_a_bounded_time(start_redis: RedisStarter) -> None:
    server = start_redis()
    async with opened(server.url) as store:
        sessions = sessions_on(store)
        token, _ = await sign_in(sessions)
        server.pause()
        await refused(sessions.find(token, scope="https://app", provider="corp"))
        crowd = [refused(store.read("az:test")) for _ in range(4 * MAX_CONNECTIONS)]
        await asyncio.gather(*crowd)
        server.resume()
        assert await is_active(sessions, token)
        assert await asyncio.gather(*(store.read("az:test") for _ in range(50))) == [(None,)] * 50


async def test_connections_are_bounded(start_redis: RedisStarter) -> None:
    server = start_redis()
    async with opened(server.url) as store:
        await asyncio.gather(*(store.read("az:test") for _ in range(500)))
        clients = server.command("INFO", "clients")["connected_clients"]
        assert clients <= MAX_CONNECTIONS + 1


async def test_nobody_gets_an_answer_that_was_anothers(start_redis: RedisStarter) -> None:
    """Requests are given up in the middle; whoever comes next must not read what they left."""
    server = start_redis()
    async with opened(server.url) as store:
        for number in range(50):
            await store.write(StoreEntry(f"az:{number}", b"%d" % number, 60))

        async def read(number: int) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.0001 * (number % 7)):
                    assert await store.read(f"az:{number}") == (b"%d" % number,)

        for _ in range(5):
            await asyncio.gather(*(read(number) for number in range(50)))
        for number in range(50):
            assert await store.read(f"az:{number}") == (b"%d" % number,)


async def test_a_wrong_password(redis_with_password: RedisServer) -> None:
    url = f"redis://:hunter2@127.0.0.1:{redis_with_password.port}"
    async with opened(url) as store:
        message = await refused(store.check_ready())
        assert "WRONGPASS" in message or "invalid username-password" in message
        assert "hunter2" not in message
    async with opened(f"redis://127.0.0.1:{redis_with_password.port}") as store:
        assert "authenticated" in await refused(store.check_ready())


async def test_a_replica_is_not_ready(start_redis: RedisStarter) -> None:
    primary = start_redis()
    replica = start_redis("--replicaof", "127.0.0.1", str(primary.port))
    async with opened(replica.url) as store:
        assert "read only replica" in await refused(store.check_ready())


async def test_a_full_redis_takes_no_sign_in_and_keeps_none_by_halves(
    start_redis: RedisStarter,
) -> None:
    server = start_redis()
    async with opened(server.url) as store:
        sessions = sessions_on(store)
        server.command("CONFIG", "SET", "maxmemory", "1")
        assert "maxmemory" in await refused(sign_in(sessions))
        assert "maxmemory" in await refused(store.check_ready())
        assert server.all_keys() == []
        server.command("CONFIG", "SET", "maxmemory", "0")
        token, _ = await sign_in(sessions, scope="https://auth.example.com")
        assert await is_active(sessions, token)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(b"*3\r\n$-7\r\n", id="impossible length"),
        pytest.param(b"$abc\r\n", id="length is a word"),
        pytest.param(b"%1\r\n+proto\r\n:3\r\n" + b"+OK\r\n" * 3 + b"$2\r\nxx", id="cut"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_a_server_that_is_no_redis(answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(answer)
            if not answer:
                return

    server = Listening(serve)
    try:
        async with opened(f"redis://{server.address}") as store:
            await refused(store.read("az:test"))
            await refused(store.write(ENTRY, ENTRY))
    finally:
        server.close()


async def test_a_failover_is_followed(redis_binary: str) -> None:
    with running_sentinel(redis_binary) as group:
        async with opened(group.url) as store:
            sessions = sessions_on(store)
            token, _ = await sign_in(sessions)
            await asyncio.to_thread(group.primary.command, "WAIT", 1, 2000)
            group.primary.stop()
            deadline = time.monotonic() + 30
            while True:
                try:
                    assert await is_active(sessions, token)
                    await store.check_ready()
                    break
                except StoreUnavailable:
                    assert time.monotonic() < deadline, "the failover was not followed"
                    await asyncio.sleep(0.1)
            assert group.replica.command("INFO", "replication")["role"] == "master"
