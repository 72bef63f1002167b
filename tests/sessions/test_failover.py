"""A former primary is left: nothing that it says counts, and nothing is told to it alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ResponseError

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cache import NearCacheLimits
from authz_sidecar.sessions.redis import probe
from tests.servers.certificate import make_certificate
from tests.servers.redis_groups import (
    SERVICE,
    follow,
    has_replica,
    joining,
    running_cluster,
    running_sentinel,
)
from tests.servers.sidecar import free_ports
from tests.sessions.caches import (
    build_sessions,
    cached_session,
    find,
    load_into_cache,
    open_near_cache,
    wait_until,
)
from tests.sessions.conftest import is_active, sign_in
from tests.sessions.failover import FORMER, copy, opened, pair
from tests.sessions.forwarder import forwarding

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.cache import NearCache
    from tests.servers.redis import RedisServer, RedisStarter
    from tests.servers.redis_groups import SentinelGroup
    from tests.sessions.failover import Pair

BOUND = 2.0
"""Seconds after which everything is as if nothing had been."""

PLACES = ["address", "socket"]
REPLICA_OR_PRIMARY = ["is a replica, cut off", "still thinks it is the primary"]


async def passes(cache: NearCache, token: str) -> bool:
    with contextlib.suppress(StoreUnavailable):
        return cached_session(cache, token) is not None or await find(cache, token) is not None
    return False


async def is_left(stage: Pair, cache: NearCache, ended: dict[str, Session], *, by: float) -> None:
    """These sessions are refused, and every connection says so, again and again."""
    rounds = 0
    while rounds < 5:
        passing = [await passes(cache, token) for token in ended]
        keys_of = [keys.session_key(session.public_id) for session in ended.values()]
        try:
            reads = [stage.here.read(*keys_of) for _ in range(8)]
            held = any(value for values in await asyncio.gather(*reads) for value in values)
        except StoreUnavailable:
            held = True
        rounds = 0 if held or any(passing) else rounds + 1
        assert time.monotonic() < by, "a former primary is still believed"
        await asyncio.sleep(0.02)


async def done(within: float, do: Callable[[], Awaitable[Any]]) -> float:
    """How long it took until it was done without an error."""
    began = time.monotonic()
    while True:
        try:
            await do()
        except StoreUnavailable:
            assert time.monotonic() - began < within
            await asyncio.sleep(0.02)
        else:
            took = time.monotonic() - began
            assert took < within
            return took


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("former", FORMER)
async def test_what_is_revoked_after_a_failover_is_refused(
    start_redis: RedisStarter, former: str, place: str
) -> None:
    async with pair(start_redis, socket=place == "socket") as stage:
        made = [await sign_in(stage.sessions(), provider_session=f"s-{n}") for n in range(4)]
        async with open_near_cache(stage.here) as cache:
            for token, _ in made:
                await load_into_cache(cache, token)
            # As many connections as a busy worker has.
            await asyncio.gather(*(stage.here.read("az:x") for _ in range(8)))
            stage.fail_over(FORMER[former])
            flipped = time.monotonic()
            (staying, stays), *leaving = made
            for _, session in leaving:
                await stage.elsewhere().end(session)
            await is_left(stage, cache, dict(leaving), by=flipped + BOUND)
            await wait_until(lambda: cache.coherent, within=BOUND)
            await load_into_cache(cache, staying)
            assert not any([await passes(cache, token) for token, _ in leaving])
            # And it hears of what happens at the new one.
            await stage.elsewhere().end(stays)
            await wait_until(lambda: cached_session(cache, staying) is None)


@pytest.mark.parametrize("former", FORMER)
async def test_signing_in_and_out_and_being_ready_recover(
    start_redis: RedisStarter, former: str
) -> None:
    async with pair(start_redis) as stage:
        token, session = await sign_in(stage.sessions())
        async with open_near_cache(stage.here) as cache:
            await load_into_cache(cache, token)
            await asyncio.gather(*(stage.here.read("az:x") for _ in range(8)))
            stage.fail_over(FORMER[former])
            flipped = time.monotonic()
            await done(BOUND, lambda: stage.sessions().end(session))
            assert not await is_active(stage.elsewhere(), token)
            await done(BOUND, stage.here.check_ready)
            token, session = await sign_in(stage.sessions())
            assert await is_active(stage.elsewhere(), token)
            assert time.monotonic() - flipped < BOUND


ENDINGS: dict[str, Callable[[Any, Session], Awaitable[Any]]] = {
    "a session": lambda sessions, session: sessions.end(session),
    "a user": lambda sessions, session: sessions.end_user(
        provider="corp", issuer=session.identity.issuer, subject=session.identity.subject
    ),
    "a provider's session": lambda sessions, session: sessions.end_provider_session(
        provider="corp", issuer=session.identity.issuer, sid="sid-1"
    ),
    "a provider's session, if known": lambda sessions, session: sessions.end_provider_session(
        provider="corp", issuer=session.identity.issuer, sid="sid-1", only_if_known=True
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("watched", [True, False], ids=["in a server", "in a command"])
async def test_a_sign_out_that_was_reported_as_done_is_known_to_the_new_primary(
    start_redis: RedisStarter, ending: str, *, watched: bool
) -> None:
    """Also in the moment before anybody has noticed that the old one is none any more."""
    async with pair(start_redis) as stage, contextlib.AsyncExitStack() as stack:
        if watched:
            await stack.enter_async_context(open_near_cache(stage.here))
        token, session = await sign_in(stage.sessions())
        stage.fail_over(FORMER["still thinks it is the primary"])
        await ENDINGS[ending](stage.sessions(), session)
        assert not await is_active(stage.elsewhere(), token)


async def test_a_sign_out_that_no_server_confirms_is_not_done(start_redis: RedisStarter) -> None:
    async with pair(start_redis) as stage:
        _, session = await sign_in(stage.sessions())
        stage.link.refuse()
        with pytest.raises(StoreUnavailable):
            await stage.sessions().end(session)


async def test_the_connections_of_a_former_primary_are_cut(start_redis: RedisStarter) -> None:
    async with pair(start_redis) as stage, open_near_cache(stage.here):
        await asyncio.gather(*(stage.here.read("az:x") for _ in range(8)))
        stage.fail_over(FORMER["still thinks it is the primary"])
        await wait_until(
            lambda: len(stage.old.command("CLIENT", "LIST").splitlines()) == 1, within=2
        )


async def test_an_answer_under_way_does_not_survive(
    start_redis: RedisStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked of the old server, and the primary changed before it came."""
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.2)
    async with pair(start_redis, marked=b"MGET") as stage:
        token, session = await sign_in(stage.sessions())
        async with open_near_cache(stage.here) as cache:
            stage.link.pause(marked=True)
            finding = asyncio.create_task(find(cache, token))
            await asyncio.sleep(0.05)
            stage.fail_over(FORMER["still thinks it is the primary"])
            await stage.elsewhere().end(session)
            await wait_until(lambda: cache.stats.losses > 0)
            stage.link.resume(marked=True)
            assert await finding is None
            assert not await passes(cache, token)


async def test_connections_are_given_up_when_no_new_one_can_be_made(
    start_redis: RedisStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can know where the address leads by now. It heals by itself."""
    monkeypatch.setattr(probe, "PROBE_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(probe, "MAX_SECONDS_WITHOUT_DIAL", 0.5)
    async with pair(start_redis) as stage:
        token, session = await sign_in(stage.sessions())
        async with open_near_cache(stage.here) as cache:
            await load_into_cache(cache, token)
            stage.link.refuse()
            await asyncio.sleep(0.3)
            assert cached_session(cache, token) == session
            await wait_until(lambda: cached_session(cache, token) is None, within=BOUND)
            with pytest.raises(StoreUnavailable):
                await find(cache, token)
            stage.link.accept()
            await wait_until(lambda: cache.coherent, within=BOUND)
            assert await find(cache, token) == session


@pytest.mark.parametrize("data", ["kept", "lost"])
async def test_a_server_that_restarts_is_another_one(start_redis: RedisStarter, data: str) -> None:
    server = start_redis()
    async with opened(server.url) as store, open_near_cache(store) as cache:
        sessions = build_sessions(store)
        made = [await sign_in(sessions, provider_session=f"s-{n}") for n in range(3)]
        for token, _ in made:
            await load_into_cache(cache, token)
        epoch, run_id = cache._coherence.epoch, _run_id(server)
        if data == "kept":
            server.command("SAVE")
        server.stop()
        server.start()
        assert _run_id(server) != run_id
        await wait_until(lambda: cache._coherence.epoch > epoch and cache.coherent, within=BOUND)
        assert not any(cached_session(cache, token) for token, _ in made)
        for token, session in made:
            assert await find(cache, token) == (session if data == "kept" else None)


async def test_over_tls_it_is_the_same(start_redis: RedisStarter, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, ("localhost",))
    tls = ["--tls-cert-file", str(certificate.chain), "--tls-key-file", str(certificate.key)]
    tls += ["--tls-ca-cert-file", str(certificate.chain), "--tls-auth-clients", "no"]
    ports = free_ports(2)
    old, new = (start_redis("--tls-port", str(port), *tls) for port in ports)
    async with forwarding(ports[0]) as link:
        url = f"rediss://localhost:{link.port}?ssl_ca_certs={certificate.chain}"
        async with opened(url) as here, opened(new.url) as there, open_near_cache(here) as cache:
            token, session = await sign_in(build_sessions(here))
            await load_into_cache(cache, token)
            copy(old, new)
            link.lead_to(ports[1])
            await build_sessions(there).end(session)
            await wait_until(lambda: cached_session(cache, token) is None, within=BOUND)
            assert await find(cache, token) is None
            token, session = await sign_in(build_sessions(here))
            await build_sessions(here).end(session)
            assert not await is_active(build_sessions(there), token)


async def test_an_address_that_cannot_decide_is_never_relied_on(start_redis: RedisStarter) -> None:
    """Two servers that both think they are primaries, and new connections lead to each in turn."""
    async with pair(start_redis) as stage:
        token, session = await sign_in(stage.sessions())
        async with open_near_cache(stage.here) as cache:
            await load_into_cache(cache, token)
            stage.fail_over(FORMER["still thinks it is the primary"])
            await stage.elsewhere().end(session)
            for turn in range(30):
                stage.link.lead_to((stage.old if turn % 2 else stage.new).port)
                for server in (stage.old, stage.new):
                    server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await done(BOUND, lambda: stage.here.read("az:x"))
            stage.link.lead_to(stage.new.port)
            await asyncio.sleep(1.2)
            assert not await passes(cache, token)
            await wait_until(lambda: cache.coherent, within=BOUND)


class TestWithoutANearCache:
    """Nothing is kept in memory, and the former primary is left all the same."""

    @pytest.mark.parametrize("former", REPLICA_OR_PRIMARY)
    async def test_because_none_is_wanted(self, start_redis: RedisStarter, former: str) -> None:
        async with pair(start_redis) as stage:
            token, session = await sign_in(stage.sessions())
            async with open_near_cache(
                stage.here, start=False, limits=NearCacheLimits(max_entries=0)
            ) as cache:
                cache.start()
                await fails_over(stage, cache, token, session, former)

    @pytest.mark.parametrize("right", ["client|tracking", "info"])
    @pytest.mark.parametrize("former", REPLICA_OR_PRIMARY)
    async def test_because_a_right_is_missing(
        self,
        start_redis: RedisStarter,
        caplog: pytest.LogCaptureFixture,
        former: str,
        right: str,
    ) -> None:
        async with pair(start_redis, rights=("+@all", f"-{right}")) as stage:
            token, session = await sign_in(stage.sessions())
            async with open_near_cache(stage.here, start=False) as cache:
                cache.start()
                await wait_until(lambda: cache.refused)
                await fails_over(stage, cache, token, session, former)
                assert cache.entries == 0
        [line] = [text for text in caplog.messages if "will not tell" in text]
        assert right.upper().replace("|", " ") in line.upper().replace("|", " ")


async def fails_over(
    stage: Pair, cache: NearCache, token: str, session: Session, former: str
) -> None:
    assert await find(cache, token) == session
    await asyncio.gather(*(stage.here.read("az:x") for _ in range(8)))
    stage.fail_over(FORMER[former])
    flipped = time.monotonic()
    await stage.elsewhere().end(session)
    await is_left(stage, cache, {token: session}, by=flipped + BOUND)


async def test_two_generations_of_a_configuration_share_a_store(start_redis: RedisStarter) -> None:
    """As in a reload: neither ends what the other relies on, and both leave a former primary."""
    async with pair(start_redis) as stage:
        token, session = await sign_in(stage.sessions())
        async with open_near_cache(stage.here) as old:
            await load_into_cache(old, token)
            async with open_near_cache(stage.here) as new:
                await load_into_cache(new, token)
                assert cached_session(old, token) == session
                assert old.stats.losses == 0
                stage.fail_over(FORMER["still thinks it is the primary"])
                await stage.elsewhere().end(session)
                await wait_until(
                    lambda: not (cached_session(old, token) or cached_session(new, token)),
                    within=BOUND,
                )
                await wait_until(lambda: old.coherent and new.coherent, within=BOUND)
            assert old.coherent
            assert not await passes(old, token)


class TestSentinel:
    async def test_a_primary_that_was_demoted_is_left(self, redis_binary: str) -> None:
        with running_sentinel(redis_binary) as group:
            async with (
                opened(group.url) as store,
                opened(group.replica.url) as there,
                open_near_cache(store) as cache,
            ):
                token, session = await sign_in(build_sessions(store))
                await load_into_cache(cache, token)
                assert group.primary.command("WAIT", 1, 5000) == 1
                await done(20, lambda: _failover(group))
                await wait_until(lambda: _role(group.replica) == "master", within=20)
                await done(BOUND, lambda: build_sessions(there).end(session))
                await wait_until(lambda: cached_session(cache, token) is None, within=BOUND)
                assert not await passes(cache, token)
                await done(BOUND, store.check_ready)
                again, _ = await sign_in(build_sessions(store))
                assert await is_active(build_sessions(there), again)

    async def test_one_that_does_not_know_yet_is_left(self, redis_binary: str) -> None:
        """It hung, and comes back as the primary that it was."""
        with running_sentinel(redis_binary) as group:
            async with (
                opened(group.url) as store,
                opened(group.replica.url) as there,
                open_near_cache(store) as cache,
            ):
                token, session = await sign_in(build_sessions(store))
                await load_into_cache(cache, token)
                assert group.primary.command("WAIT", 1, 5000) == 1
                group.primary.pause()
                await wait_until(lambda: _role(group.replica) == "master", within=20)
                group.primary.resume()
                await build_sessions(there).end(session)
                await wait_until(lambda: cached_session(cache, token) is None, within=BOUND)
                assert not await passes(cache, token)
                await wait_until(lambda: cache.coherent, within=5)
                assert not await passes(cache, token)


async def test_a_primary_of_a_cluster_that_was_demoted_is_left(redis_binary: str) -> None:
    with running_cluster(redis_binary) as cluster, joining(cluster, redis_binary) as new:
        follow(new, cluster.nodes[0])
        async with (
            opened(cluster.url) as store,
            opened(cluster.url) as there,
            open_near_cache(store) as cache,
        ):
            made = [
                await sign_in(build_sessions(store), provider_session=f"s-{n}") for n in range(12)
            ]
            for token, _ in made:
                await load_into_cache(cache, token)
            assert cluster.nodes[0].command("WAIT", 1, 5000) == 1
            new.command("CLUSTER", "FAILOVER")
            await wait_until(lambda: _role(cluster.nodes[0]) != "master", within=20)
            for _, session in made:
                await done(BOUND, lambda session=session: build_sessions(there).end(session))  # type: ignore[misc]
            await wait_until(
                lambda: not any(cached_session(cache, token) for token, _ in made), within=BOUND
            )
            assert not any([await passes(cache, token) for token, _ in made])
            await wait_until(lambda: cache.coherent, within=5)
            await done(BOUND, store.check_ready)
            token, _ = await sign_in(build_sessions(store))
            await load_into_cache(cache, token)


async def _failover(group: SentinelGroup) -> None:
    try:
        group.sentinel("FAILOVER", SERVICE)
    except ResponseError as error:  # it does not know the replica well enough yet
        raise StoreUnavailable(str(error)) from error


def _role(server: RedisServer) -> str:
    return str(server.command("INFO", "replication")["role"])


def _run_id(server: RedisServer) -> str:
    return str(server.command("INFO", "server")["run_id"])


class TestReplication:
    """A replica may be behind when it takes over."""

    async def test_a_sign_out_survives_the_loss_of_the_primary(
        self, start_redis: RedisStarter
    ) -> None:
        primary, replica = start_redis("--repl-diskless-sync-delay", "0"), start_redis()
        async with (
            forwarding(primary.port, delay=0.05) as slow,
            opened(primary.url) as store,
            opened(replica.url) as there,
        ):
            replica.command("REPLICAOF", "127.0.0.1", slow.port)
            await wait_until(lambda: has_replica(primary))
            token, session = await sign_in(build_sessions(store))
            await wait_until(lambda: replica.all_keys() == primary.all_keys() != [])
            await build_sessions(store).end(session)
            primary.stop()
            replica.command("REPLICAOF", "NO", "ONE")
            assert not await is_active(build_sessions(there), token)

    async def test_a_replica_that_hangs_keeps_nobody_waiting(
        self, start_redis: RedisStarter, caplog: pytest.LogCaptureFixture
    ) -> None:
        primary, replica = start_redis("--repl-diskless-sync-delay", "0"), start_redis()
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        async with opened(primary.url) as store:
            await wait_until(lambda: has_replica(primary))
            replica.pause()
            for _ in range(2):
                token, session = await sign_in(build_sessions(store))
                began = time.monotonic()
                await build_sessions(store).end(session)
                assert time.monotonic() - began < 1
                assert not await is_active(build_sessions(store), token)
            replica.resume()
        [line] = [text for text in caplog.messages if "acknowledged" in text]
        assert "may come back" in line

    @pytest.mark.parametrize("rights", [("-wait",), ("-info",)], ids=["WAIT", "INFO"])
    async def test_who_may_not_ask_is_signed_out_all_the_same(
        self, start_redis: RedisStarter, rights: tuple[str, ...]
    ) -> None:
        async with pair(start_redis, rights=("+@all", *rights)) as stage:
            token, session = await sign_in(stage.sessions())
            await stage.sessions().end(session)
            assert not await is_active(stage.sessions(), token)
