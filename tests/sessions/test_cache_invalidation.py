"""How a near cache hears of changes in a real Redis of each kind, and what happens when it does not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.cache.invalidation import MAX_STALENESS_SECONDS, Coherence
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.redis import invalidation, probe
from tests.servers.redis_groups import follow, joining, running_cluster, running_sentinel
from tests.sessions.caches import (
    RecordingStore,
    build_sessions,
    cached_session,
    find,
    find_with_retries,
    load_into_cache,
    open_near_cache,
    wait_until,
)
from tests.sessions.conftest import sign_in
from tests.sessions.forwarder import forwarding
from tests.sessions.stores import STORES, store_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_sidecar.sessions.store import SessionStore
    from tests.servers.redis import RedisServer, RedisStarter
    from tests.servers.redis_groups import Cluster


@pytest.fixture
async def opened() -> AsyncIterator[Any]:
    stores: list[SessionStore] = []

    def at(url: str) -> SessionStore:
        stores.append(open_store(url))
        return stores[-1]

    yield at
    for store in stores:
        await store.aclose()


class TestCoherence:
    """Pure: what is told when."""

    def test_nothing_is_relied_on_at_first(self) -> None:
        assert Coherence().fresh_until == -math.inf

    def test_an_answer_is_good_for_a_while(self) -> None:
        coherence = Coherence()
        coherence.start_epoch(10.0)
        coherence.confirm(11.0)
        assert coherence.fresh_until == 11.0 + MAX_STALENESS_SECONDS

    def test_after_a_loss_a_new_epoch_begins(self) -> None:
        coherence = Coherence()
        coherence.start_epoch(10.0)
        coherence.confirm(11.0)
        coherence.suspend()
        coherence.confirm(12.0)
        assert coherence.fresh_until == -math.inf
        coherence.start_epoch(20.0)
        assert coherence.epoch == 2
        assert (coherence.last_confirmed_at(1), coherence.last_confirmed_at(2)) == (11.0, 20.0)

    def test_old_epochs_are_forgotten(self) -> None:
        coherence = Coherence()
        for at in range(100):
            coherence.start_epoch(float(at))
        assert len(coherence._last_confirmed_at) <= 16
        assert coherence.last_confirmed_at(3) == -math.inf
        assert coherence.last_confirmed_at(100) == 99.0


@pytest.mark.parametrize("name", STORES)
async def test_a_session_revoked_anywhere_is_refused_by_every_worker(
    name: str, request: pytest.FixtureRequest, opened: Any
) -> None:
    """Two workers, each with a store of its own, and a third that revokes. 50 ms is what is promised
    on loopback (`benchmarks/near.py` measures it); here half a second, for machines under load."""
    url = store_url(name, request)
    stores = [opened(url) for _ in range(3)] if name != "memory" else [opened(url)] * 3
    sessions = build_sessions(stores[2])
    async with open_near_cache(stores[0]) as one, open_near_cache(stores[1]) as two:
        slowest = 0.0
        for _ in range(20):
            token, session = await sign_in(sessions)
            for cache in (one, two):
                await load_into_cache(cache, token)
            await sessions.end(session)

            def is_dropped(token: str = token) -> bool:
                return not (cached_session(one, token) or cached_session(two, token))

            slowest = max(slowest, await wait_until(is_dropped))
            assert await find(one, token) is await find(two, token) is None
    assert slowest < 0.5


async def test_everything_goes_when_everything_went(redis_server: RedisServer, opened: Any) -> None:
    store = opened(redis_server.url)
    token, _ = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        assert await find(cache, token)
        redis_server.command("FLUSHDB")
        await wait_until(lambda: cache.entries == 0)
        assert await find(cache, token) is None


async def test_an_evicted_session_is_dropped(redis_server: RedisServer, opened: Any) -> None:
    store = opened(redis_server.url)
    token, session = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        assert await find(cache, token)
        redis_server.command("PEXPIRE", f"az:s:{{{session.public_id}}}", 1)
        redis_server.command("GET", f"az:s:{{{session.public_id}}}")
        await wait_until(lambda: cache.entries == 0)


class TestASilentLink:
    """The connection for changes is a black hole: everything else works."""

    async def test_nothing_is_served_after_the_bound(
        self, redis_server: RedisServer, opened: Any
    ) -> None:
        async with forwarding(redis_server.port) as link:
            store = RecordingStore(opened(f"redis://127.0.0.1:{link.port}"))
            sessions = build_sessions(opened(redis_server.url))
            token, session = await sign_in(sessions)
            async with open_near_cache(store) as cache:
                assert await find(cache, token) == session
                link.pause(marked=True)
                silent_at = time.monotonic()
                await sessions.end(session)
                await wait_until(lambda: cached_session(cache, token) is None)
                assert time.monotonic() - silent_at < MAX_STALENESS_SECONDS + 0.2
                assert not cache.coherent
                assert await find(cache, token) is None

    async def test_every_look_asks_until_it_is_heard_again(
        self, redis_server: RedisServer, opened: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(invalidation, "MAX_SILENCE_SECONDS", 2.0)
        async with forwarding(redis_server.port) as link:
            store = RecordingStore(opened(f"redis://127.0.0.1:{link.port}"))
            token, session = await sign_in(build_sessions(opened(redis_server.url)))
            async with open_near_cache(store) as cache:
                assert await find(cache, token) == session
                link.pause(marked=True)
                await wait_until(lambda: not cache.coherent)
                for _ in range(3):
                    store.calls.clear()
                    assert await find(cache, token) == session
                    assert len(store.calls_to("read")) == 2
                    assert cached_session(cache, token) is None
                await wait_until(lambda: cache.stats.losses == 1)
                link.resume(marked=True)
                await wait_until(lambda: cache.coherent)
                # What was in memory before is no more certain than it was.
                assert cached_session(cache, token) is None
                assert await find(cache, token) == session
                assert cached_session(cache, token) == session

    async def test_a_pause_without_a_loss_forgets_nothing(
        self, redis_server: RedisServer, opened: Any
    ) -> None:
        """TCP delivers late what was said meanwhile: all of it comes before the next answer."""
        async with forwarding(redis_server.port) as link:
            sessions = build_sessions(opened(redis_server.url))
            staying, stays = await sign_in(sessions)
            leaving, leaves = await sign_in(sessions)
            async with open_near_cache(opened(f"redis://127.0.0.1:{link.port}")) as cache:
                assert await find(cache, staying)
                assert await find(cache, leaving)
                link.pause(marked=True)
                await wait_until(lambda: not cache.coherent)
                await sessions.end(leaves)
                link.resume(marked=True)
                await wait_until(lambda: cache.coherent)
                assert cached_session(cache, leaving) is None
                assert cached_session(cache, staying) == stays
                assert cache.stats.losses == 0


class TestGrace:
    async def test_there_is_none_unless_asked_for(
        self, start_redis: RedisStarter, opened: Any
    ) -> None:
        server = start_redis()
        store = opened(server.url)
        token, _ = await sign_in(build_sessions(store))
        async with open_near_cache(store) as cache:
            assert await find(cache, token)
            server.stop()
            await wait_until(lambda: not cache.coherent)
            assert cached_session(cache, token) is None
            with pytest.raises(StoreUnavailable):
                await find(cache, token)

    @pytest.mark.parametrize("how", ["gone", "silent"])
    async def test_sessions_in_memory_serve_while_the_store_is_away(
        self, start_redis: RedisStarter, opened: Any, how: str
    ) -> None:
        server = start_redis()
        store = opened(server.url)
        sessions = build_sessions(store)
        token, session = await sign_in(sessions)
        stranger, _ = await sign_in(sessions)
        async with open_near_cache(store, grace=4.0) as cache:
            assert await find(cache, token)
            server.stop() if how == "gone" else server.pause()
            away_at = time.monotonic()
            await wait_until(lambda: not cache.coherent)
            assert cached_session(cache, token) is None
            assert await find(cache, token) == session
            assert await cache.find(token, scope="https://else.example", provider="corp") is None
            with pytest.raises(StoreUnavailable):
                await find(cache, stranger)
            began = time.monotonic()
            assert [await find(cache, token) for _ in range(20)] == [session] * 20
            assert time.monotonic() - began < 2.5, "everybody waited"
            assert cache.stats.graced > 20
            await asyncio.sleep(max(0.0, away_at + 4.1 - time.monotonic()))
            with pytest.raises(StoreUnavailable):
                await find(cache, token)
            if how == "silent":
                server.resume()
                await wait_until(lambda: cache.coherent)
                assert await find(cache, token) == session
                assert await find(cache, stranger) is not None

    async def test_grace_is_for_outages_alone(self, redis_server: RedisServer, opened: Any) -> None:
        """The link is silent and the store answers: what it says counts."""
        async with forwarding(redis_server.port) as link:
            sessions = build_sessions(opened(redis_server.url))
            token, session = await sign_in(sessions)
            async with open_near_cache(
                opened(f"redis://127.0.0.1:{link.port}"), grace=3600.0
            ) as cache:
                assert await find(cache, token)
                link.pause(marked=True)
                await sessions.end(session)
                await wait_until(lambda: not cache.coherent)
                assert await find(cache, token) is None
                link.pause(marked=False)
                with pytest.raises(StoreUnavailable):
                    await find(cache, token)

    async def test_nobody_is_kept_who_is_idle(self, start_redis: RedisStarter, opened: Any) -> None:
        server = start_redis()
        store = opened(server.url)
        token, session = await sign_in(build_sessions(store, idle_timeout=3.0))
        async with open_near_cache(store, grace=3600.0, idle_timeout=3.0) as cache:
            assert await find(cache, token)
            server.stop()
            await wait_until(lambda: not cache.coherent)
            assert await find(cache, token) == session
            await asyncio.sleep(3.0)
            with pytest.raises(StoreUnavailable):
                await find(cache, token)


async def test_a_restart_is_noticed(start_redis: RedisStarter, opened: Any) -> None:
    server = start_redis()
    store = opened(server.url)
    token, _ = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        assert await find(cache, token)
        server.stop()
        await wait_until(lambda: not cache.coherent)
        server.start()
        await wait_until(lambda: cache.coherent)
        assert cache.stats.losses == 1
        assert cached_session(cache, token) is None
        assert await find(cache, token) is None


async def test_a_redis_that_does_not_let_us_track(
    start_redis: RedisStarter, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis()
    server.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-client|tracking")
    store = RecordingStore(opened(f"redis://app:pw@127.0.0.1:{server.port}"))
    token, session = await sign_in(build_sessions(store))
    with caplog.at_level(logging.WARNING):
        async with open_near_cache(store, start=False, grace=3600.0) as cache:
            cache.start()
            await wait_until(lambda: cache.refused)
            for _ in range(2):
                store.calls.clear()
                assert await find(cache, token) == session
                assert len(store.calls_to("read")) == 2
                assert cached_session(cache, token) is None
            assert cache.entries == 0
            assert not cache.coherent
    (line,) = [record.getMessage() for record in caplog.records if "changes" in record.message]
    assert "no session is kept in memory" in line
    assert "pw" not in line


async def test_a_user_who_may_not_ask_for_roles_is_tracked_all_the_same(
    start_redis: RedisStarter, opened: Any
) -> None:
    server = start_redis()
    server.command("ACL", "SETUSER", "app", "on", ">pw", "~az:*", "+@all", "-role")
    store = opened(f"redis://app:pw@127.0.0.1:{server.port}")
    token, session = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        await find(cache, token)
        await asyncio.sleep(MAX_STALENESS_SECONDS + 0.3)
        assert cached_session(cache, token) == session


async def test_a_primary_that_became_a_replica_is_left(
    start_redis: RedisStarter, opened: Any
) -> None:
    primary, other = start_redis(), start_redis()
    async with open_near_cache(opened(primary.url)) as cache:
        primary.command("REPLICAOF", "127.0.0.1", other.port)
        await wait_until(lambda: cache.stats.losses >= 1)
        assert not cache.coherent
        primary.command("REPLICAOF", "NO", "ONE")
        await wait_until(lambda: cache.coherent)


async def test_after_a_failover_the_new_primary_is_heard(redis_binary: str, opened: Any) -> None:
    with running_sentinel(redis_binary) as group:
        store = opened(group.url)
        sessions = build_sessions(store)
        token, session = await sign_in(sessions)
        async with open_near_cache(store) as cache:
            assert await find(cache, token)
            assert group.primary.command("WAIT", 1, 5000) == 1
            group.primary.stop()
            await wait_until(lambda: not cache.coherent)
            assert cached_session(cache, token) is None
            await wait_until(lambda: cache.coherent, within=30)
            assert await find_with_retries(cache, token) == session
            await load_into_cache(cache, token)
            await sessions.end(session)
            await wait_until(lambda: cached_session(cache, token) is None)
            assert await find(cache, token) is None


async def test_who_starts_together_does_not_connect_together(
    redis_server: RedisServer, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidation, "START_JITTER_SECONDS", 1.0)
    store = opened(redis_server.url)
    async with contextlib.AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(open_near_cache(store, start=False)) for _ in range(10)
        ]
        for worker in workers:
            worker.start()
        await wait_until(lambda: all(worker.coherent for worker in workers))
        heard = [worker._coherence.last_confirmed_at(1) for worker in workers]
    assert len({round(each, 1) for each in heard}) > 2


class TestCluster:
    async def test_every_primary_is_heard(self, redis_binary: str, opened: Any) -> None:
        with running_cluster(redis_binary) as cluster:
            async with open_near_cache(opened(cluster.url)):
                assert [len(_tracking_clients(node)) for node in cluster.nodes] == [1, 1, 1]

    async def test_after_a_failover_the_new_primary_is_heard(
        self, redis_binary: str, opened: Any
    ) -> None:
        with running_cluster(redis_binary) as cluster, joining(cluster, redis_binary) as new:
            follow(new, cluster.nodes[0])
            store = opened(cluster.url)
            sessions = build_sessions(store)
            made = [await sign_in(sessions, provider_session=f"sid-{n}") for n in range(12)]
            async with open_near_cache(store) as cache:
                for token, _ in made:
                    await load_into_cache(cache, token)
                assert cluster.nodes[0].command("WAIT", 1, 5000) == 1
                cluster.nodes[0].stop()
                await wait_until(lambda: not cache.coherent)
                assert [cached_session(cache, token) for token, _ in made] == [None] * len(made)
                new.command("CLUSTER", "FAILOVER", "TAKEOVER")
                await wait_until(lambda: cache.coherent, within=30)
                assert len(_tracking_clients(new)) == 1, "nobody listens to the new primary"
                for token, session in made:
                    assert await find_with_retries(cache, token) == session
                    await load_into_cache(cache, token)
                    await sessions.end(session)
                    await wait_until(lambda token=token: cached_session(cache, token) is None)  # type: ignore[misc]
                    assert await find(cache, token) is None

    async def test_one_primary_lost_is_all_lost(self, redis_binary: str, opened: Any) -> None:
        with running_cluster(redis_binary) as cluster:
            store = opened(cluster.url)
            token, session = await sign_in(build_sessions(store))
            async with open_near_cache(store) as cache:
                assert await find(cache, token) == session
                cluster.nodes[2].pause()
                await wait_until(lambda: not cache.coherent)
                assert cached_session(cache, token) is None
                cluster.nodes[2].resume()
                await wait_until(lambda: cache.coherent)

    async def test_a_node_that_joins_is_heard(self, redis_binary: str, opened: Any) -> None:
        """Slots move to a primary that nobody knew: what is in memory is not relied on until it is
        heard too."""
        with running_cluster(redis_binary) as cluster, joining(cluster, redis_binary) as new:
            store = opened(cluster.url)
            sessions = build_sessions(store)
            async with open_near_cache(store) as cache:
                tokens = [await sign_in(sessions) for _ in range(5)]
                for token, session in tokens:
                    assert await find(cache, token) == session
                _move_slots(cluster, new)
                await wait_until(lambda: cache.stats.losses >= 1)
                await wait_until(lambda: cache.coherent)
                assert _tracking_clients(new), "nobody listens to the new node"


def _move_slots(cluster: Cluster, new: RedisServer) -> None:
    """An empty slot goes from the first node to the new one."""
    first = cluster.nodes[0]
    source, target = first.command("CLUSTER", "MYID"), new.command("CLUSTER", "MYID")
    slot = next(
        slot for slot in range(5000) if not first.command("CLUSTER", "COUNTKEYSINSLOT", slot)
    )
    new.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source)
    first.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target)
    for node in (new, *cluster.nodes):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target)


def _tracking_clients(server: RedisServer) -> list[bytes]:
    return [line for line in server.command("CLIENT", "LIST").splitlines() if b"flags=tB" in line]


@pytest.mark.parametrize("turns", range(40))
async def test_who_stops_while_the_store_refuses_is_let_go(
    opened: Any, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """However far it has come: the failure of a connection and the end may meet."""
    await _stops_after(turns, opened("redis://127.0.0.1:1/0"), monkeypatch)


@pytest.mark.parametrize("turns", range(60))
async def test_who_stops_while_it_connects_is_let_go(
    redis_server: RedisServer, opened: Any, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """However far it has come: what the client waits for and the end may meet."""
    await _stops_after(turns, opened(redis_server.url), monkeypatch)


async def _stops_after(turns: int, store: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invalidation, "START_JITTER_SECONDS", 0.0)
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.0)
    async with asyncio.timeout(2), open_near_cache(store, start=False) as cache:
        cache.start()
        for _ in range(turns):
            await asyncio.sleep(0)
