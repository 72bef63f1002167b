"""From memory while that is certain to be right: the same on every store."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cache import NearCacheLimits
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.store import StoreEntry
from tests.sessions.caches import (
    RecordingStore,
    build_sessions,
    cached_session,
    find,
    load_into_cache,
    open_near_cache,
    wait_until,
)
from tests.sessions.conftest import ALICE, APP, AUTH, BOB, HOUR, WIKI, Clock, create_child, sign_in
from tests.sessions.stores import store_url
from tests.sessions.test_service import PROVIDER_SESSION, USER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.service import SessionService


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[RecordingStore]:
    opened = open_store(store_url(request.param, request))
    yield RecordingStore(opened)
    await opened.aclose()


@pytest.fixture
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[RecordingStore]:
    opened = open_store(store_url("redis", request))
    yield RecordingStore(opened)
    await opened.aclose()


async def test_the_second_look_asks_nobody(store: RecordingStore) -> None:
    token, session = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        assert cached_session(cache, token) is None
        assert await find(cache, token) == session
        store.calls.clear()
        assert cached_session(cache, token) == session
        assert await find(cache, token) == session
        assert store.calls == []
        assert (cache.stats.misses, cache.stats.hits, cache.entries) == (1, 2, 1)


async def test_what_is_in_memory_is_good_for_its_scope_and_provider(store: RecordingStore) -> None:
    token, _ = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        await find(cache, token)
        store.calls.clear()
        for scope, provider in ((APP, "corp"), (".example.com", "corp"), (AUTH, "lab")):
            assert cache.lookup(token, scope=scope, provider=provider, now=time.time()) is None
            assert await cache.find(token, scope=scope, provider=provider) is None
        assert store.calls == []


END: dict[str, Callable[[SessionService, Session], Awaitable[object]]] = {
    "the session": lambda sessions, session: sessions.end(session),
    "the user": lambda sessions, _: sessions.end_user(**USER),
    "the provider session": lambda sessions, _: sessions.end_provider_session(**PROVIDER_SESSION),
}


@pytest.mark.parametrize("what", END)
async def test_who_was_signed_out_elsewhere_is_out_here(store: RecordingStore, what: str) -> None:
    """The parent and its children, on a replica that was told nothing but what the store tells."""
    sessions = build_sessions(store)
    token, parent = await sign_in(sessions)
    app_token, _ = await create_child(sessions, parent)
    bobs, _ = await sign_in(sessions, identity=BOB, provider_session="sid-2")
    async with open_near_cache(store) as cache:
        for each, scope in ((token, AUTH), (app_token, APP), (bobs, AUTH)):
            assert await find(cache, each, scope) is not None
        await END[what](sessions, parent)
        await wait_until(
            lambda: (
                cached_session(cache, token) is None
                and cached_session(cache, app_token, APP) is None
            )
        )
        assert await find(cache, token) is None
        assert await find(cache, app_token, APP) is None
        assert cached_session(cache, bobs) is not None
        assert cache.stats.invalidations == 2


@pytest.mark.parametrize("what", ["user", "provider session", "parent", "itself", "its record"])
async def test_one_change_is_enough(store: RecordingStore, what: str) -> None:
    """Whatever else a revocation does or loses: each of these alone drops a session."""
    sessions = build_sessions(store)
    _, parent = await sign_in(sessions)
    token, app = await create_child(sessions, parent)
    key = {
        "user": sessions._key_names.user("corp", ALICE.issuer, "alice").watermark_keys[0],
        "provider session": sessions._key_names.provider_session(
            "corp", ALICE.issuer, "sid-1"
        ).watermark_keys[0],
        "parent": keys.ended_key(parent.public_id),
        "itself": keys.ended_key(app.public_id),
        "its record": keys.session_key(app.public_id),
    }[what]
    async with open_near_cache(store) as cache:
        await load_into_cache(cache, token, APP)
        held = cache.lookup(token, scope=APP, provider="corp", now=time.time())
        assert held is not None
        assert held.session == app
        assert cache.is_current(held, time.time())
        await (
            store.delete(key)
            if what == "its record"
            else store.write(StoreEntry(key, os.urandom(8), 60))
        )
        await wait_until(lambda: cached_session(cache, token, APP) is None)
        assert not cache.is_current(held, time.time())
        assert await find(cache, token, APP) is None


async def test_using_a_session_disturbs_nobody(store: RecordingStore) -> None:
    clock = Clock()
    sessions = build_sessions(store, clock=clock)
    token, _ = await sign_in(sessions)
    async with (
        open_near_cache(store, clock=clock) as cache,
        open_near_cache(store, clock=clock) as other,
    ):
        assert await find(cache, token)
        assert await find(other, token)
        clock.now += HOUR / 5
        assert await find(cache, token)
        assert cache.stats.touches == 1
        await asyncio.sleep(0.05)
        assert cached_session(other, token, now=clock.now) is not None
        assert cache.stats.invalidations == other.stats.invalidations == 0


async def test_many_who_want_the_same_session_share_one_fetch(store: RecordingStore) -> None:
    token, session = await sign_in(build_sessions(store))
    began = time.monotonic()  # nobody comes late, however busy the machine
    async with open_near_cache(store, monotonic=lambda: began) as cache:
        store.calls.clear()
        assert await asyncio.gather(*(find(cache, token) for _ in range(50))) == [session] * 50
        assert len(store.calls_to("read")) == 2
        assert cache.stats.misses == 1


async def test_misses_that_come_together_go_out_together(store: RecordingStore) -> None:
    sessions = build_sessions(store)
    made = [await sign_in(sessions, provider_session=f"sid-{number}") for number in range(20)]
    async with open_near_cache(store) as cache:
        store.calls.clear()
        found = await asyncio.gather(*(find(cache, token) for token, _ in made))
        assert found == [session for _, session in made]
        assert len(store.calls_to("read")) == 2
        assert cache.stats.misses == 20


async def test_whoever_goes_away_takes_only_himself_away(store: RecordingStore) -> None:
    token, session = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        first = asyncio.create_task(find(cache, token))
        second = asyncio.create_task(find(cache, token))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == session
        with pytest.raises(asyncio.CancelledError):
            await first
        alone = asyncio.create_task(find(cache, "A" * 43))
        await asyncio.sleep(0)
        alone.cancel()
        await asyncio.wait([alone])
        assert alone.cancelled()
        assert cache._fetcher._running == {}


async def test_those_who_shared_the_fetch_of_one_who_goes_share_another(
    store: RecordingStore,
) -> None:
    token, session = await sign_in(build_sessions(store))
    async with open_near_cache(store) as cache:
        first, *others = (asyncio.create_task(find(cache, token)) for _ in range(20))
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.gather(*others) == [session] * 19
        assert cache.stats.misses == 2


async def test_those_who_share_a_fetch_hear_that_it_failed(redis: RecordingStore) -> None:
    token, _ = await sign_in(build_sessions(redis))
    async with open_near_cache(redis) as cache:

        async def fail() -> None:
            raise StoreUnavailable("gone")

        redis.after_read = fail
        together = asyncio.gather(*(find(cache, token) for _ in range(20)), return_exceptions=True)
        assert {type(each) for each in await together} == {StoreUnavailable}
        assert cache.stats.misses == 1
        assert cache._fetcher._running == {}


@pytest.mark.parametrize("read", [1, 2])
async def test_the_news_overtakes_the_answer(store: RecordingStore, read: int) -> None:
    """The store answers, the session is revoked, the news arrives, and only then the answer."""
    sessions = build_sessions(store)
    token, session = await sign_in(sessions)
    async with open_near_cache(store) as cache:
        reads = 0

        async def revoke_at_the_worst_moment() -> None:
            nonlocal reads
            reads += 1
            if reads == read:
                store.after_read = None
                await sessions.end_user(**USER)
                heard = cache._fetcher._running[token].fetch
                await wait_until(lambda: heard.invalidated)

        store.after_read = revoke_at_the_worst_moment
        late = await find(cache, token)
        # The question came before the revocation, so either answer is right; the next one is not.
        assert late in (session, None)
        assert late is None or read == 2
        assert cached_session(cache, token) is None
        assert cache.entries == 0
        assert await find(cache, token) is None


async def test_nobody_joins_a_fetch_that_news_has_spoilt(redis: RecordingStore) -> None:
    sessions = build_sessions(redis)
    token, session = await sign_in(sessions)
    async with open_near_cache(redis) as cache:
        gate = asyncio.Event()

        async def wait() -> None:
            redis.after_read = None
            await gate.wait()

        first = asyncio.create_task(find(cache, token))
        redis.after_read = wait
        await asyncio.sleep(0.05)
        await sessions.end(session)
        await wait_until(lambda: cache._fetcher._running[token].fetch.invalidated)
        assert await find(cache, token) is None
        gate.set()
        await first
        assert cached_session(cache, token) is None
        assert cache._fetcher._running == {}


async def test_revoking_while_everybody_looks_leaves_nobody_in_memory(
    redis: RecordingStore,
) -> None:
    sessions = build_sessions(redis)
    users = [{**USER, "subject": f"user-{number}"} for number in range(150)]
    made = [
        await sign_in(sessions, identity=replace(ALICE, subject=user["subject"])) for user in users
    ]
    async with open_near_cache(redis) as cache:

        async def look(token: str) -> None:
            for _ in range(6):
                await find(cache, token)
                await asyncio.sleep(0)

        async def revoke(user: Any, token: str) -> None:
            for _ in range(hash(token) % 5):
                await asyncio.sleep(0.001)
            await sessions.end_user(**user)

        await asyncio.gather(
            *(look(token) for token, _ in made),
            *(revoke(user, token) for user, (token, _) in zip(users, made, strict=True)),
        )
        await asyncio.sleep(0.1)
        assert [token for token, _ in made if cached_session(cache, token)] == []


async def test_a_million_strangers_leave_no_trace(store: RecordingStore) -> None:
    async with open_near_cache(store) as cache:
        strangers = [
            base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode() for _ in range(200)
        ]
        assert set(await asyncio.gather(*(find(cache, each) for each in strangers))) == {None}
        for each in ("", "*", "A" * 65000, "é" * 43):
            assert await find(cache, each) is None
            assert cached_session(cache, each) is None
        assert cache.entries == cache.bytes == 0
        assert cache._entries.names() == ()
        assert cache._fetcher._running == {}


async def test_a_session_that_was_not_there_is_found_as_soon_as_it_is(
    store: RecordingStore,
) -> None:
    sessions = build_sessions(store)
    token, session = await sign_in(sessions)
    (sealed,) = await store.read(keys.session_key(session.public_id))
    async with open_near_cache(store) as cache:
        await store.delete(keys.session_key(session.public_id))
        assert await find(cache, token) is None
        await store.write(StoreEntry(keys.session_key(session.public_id), sealed, 60))
        assert await find(cache, token) == session


async def test_there_is_room_for_so_many(store: RecordingStore) -> None:
    sessions = build_sessions(store)
    made = [await sign_in(sessions) for _ in range(8)]
    async with open_near_cache(store, limits=NearCacheLimits(max_entries=5)) as cache:
        for token, session in made:
            assert await find(cache, token) == session
        assert cache.entries == 5
        assert cache.stats.evictions == 3


async def test_what_was_derived_dies_with_the_entry(store: RecordingStore) -> None:
    sessions = build_sessions(store)
    token, session = await sign_in(sessions)
    async with open_near_cache(store) as cache:
        await find(cache, token)
        options: Any = {"scope": AUTH, "provider": "corp", "now": time.time()}
        entry = cache.lookup(token, **options)
        assert entry is not None
        before = cache.bytes
        entry.derived["lane"] = b"HTTP/1.1 200 OK"
        cache.add_weight(entry, 300)
        assert cache.bytes == before + 300
        again = cache.lookup(token, **options)
        assert again is not None
        assert again.derived == {"lane": b"HTTP/1.1 200 OK"}
        await store.write_if_present(StoreEntry(keys.session_key(session.public_id), b"!", 60))
        await wait_until(lambda: cache.entries == 0)
        assert cache.bytes == 0


class TestLastUse:
    async def test_one_write_a_tenth_whoever_serves_it(self, store: RecordingStore) -> None:
        clock = Clock()
        sessions = build_sessions(store, clock=clock)
        token, parent = await sign_in(sessions)
        made = [await create_child(sessions, parent, scope) for scope in (APP, WIKI)]
        places = [(token, AUTH), *zip((each for each, _ in made), (APP, WIKI), strict=True)]
        async with (
            open_near_cache(store, clock=clock) as one,
            open_near_cache(store, clock=clock) as two,
        ):

            async def touched(times: int) -> None:
                await wait_until(lambda: one.stats.touches + two.stats.touches >= times)

            for cache in (one, two):
                for each, scope in places:
                    assert await find(cache, each, scope)
            store.calls.clear()
            await asyncio.sleep(0.2)
            for written in range(1, 6):
                clock.now += HOUR / 10
                for cache in (one, two):
                    for _ in range(50):
                        for each, scope in places:
                            assert cached_session(cache, each, scope, now=clock.now)
                    await touched(written)
                    await asyncio.sleep(0.2)
            assert one.stats.touches + two.stats.touches == 5
            assert len(store.calls_to("write_all_if_present", "write", "write_if_present")) == 5

    async def test_uses_of_many_go_in_one_write(self, store: RecordingStore) -> None:
        clock = Clock()
        sessions = build_sessions(store, clock=clock)
        made = [await sign_in(sessions, provider_session=f"{number}") for number in range(20)]
        async with open_near_cache(store, clock=clock) as cache:
            for token, _ in made:
                assert await find(cache, token)
            clock.now += HOUR / 5
            store.calls.clear()
            for token, _ in made:
                assert cached_session(cache, token, now=clock.now)
            await wait_until(lambda: cache.stats.touches == 20)
            assert len(store.calls_to("write_all_if_present")) == 1
            assert len(store.calls_to("read")) <= 1
        names = [keys.last_use_key(session.public_id) for _, session in made]
        assert set(await store.read(*names)) == {b"%d" % (clock.now * 1000)}

    async def test_an_idle_session_in_memory_times_out_exactly(self, store: RecordingStore) -> None:
        clock = Clock()
        token, _ = await sign_in(build_sessions(store, clock=clock))
        async with open_near_cache(store, clock=clock) as cache:
            assert await find(cache, token)
            began = clock.now
            clock.now = began + HOUR
            assert cached_session(cache, token, now=clock.now) is None
            assert await find(cache, token) is None
            assert cache.entries == 0

    async def test_a_use_in_the_last_moment_counts(self, store: RecordingStore) -> None:
        clock = Clock()
        token, session = await sign_in(build_sessions(store, clock=clock))
        async with open_near_cache(store, clock=clock) as cache:
            assert await find(cache, token)
            clock.now += HOUR - 0.001
            # Too late to be written later: this must be asked, and is then written at once.
            assert cached_session(cache, token, now=clock.now) is None
            assert await find(cache, token) == session
            clock.now += HOUR - 0.001
            assert await find(cache, token) == session

    async def test_what_another_worker_knows_keeps_a_session(self, store: RecordingStore) -> None:
        clock = Clock()
        token, session = await sign_in(build_sessions(store, clock=clock))
        async with (
            open_near_cache(store, clock=clock) as one,
            open_near_cache(store, clock=clock) as two,
        ):
            assert await find(one, token)
            assert await find(two, token)
            clock.now += HOUR / 2
            assert await find(one, token)
            clock.now += HOUR * 0.7
            assert cached_session(two, token, now=clock.now) is None
            assert await find(two, token) == session

    async def test_a_use_does_not_bring_back_what_is_gone(self, store: RecordingStore) -> None:
        clock = Clock()
        token, session = await sign_in(build_sessions(store, clock=clock))
        async with open_near_cache(store, clock=clock) as cache:
            assert await find(cache, token)
            await store.delete(keys.last_use_key(session.public_id))
            clock.now += HOUR / 5
            assert cached_session(cache, token, now=clock.now) == session
            await wait_until(lambda: cache.entries == 0)
            assert await store.read(keys.last_use_key(session.public_id)) == (None,)
            assert await find(cache, token) is None

    async def test_a_lifetime_ends_in_memory_too(self, store: RecordingStore) -> None:
        clock = Clock()
        token, _ = await sign_in(build_sessions(store, clock=clock), lifetime=60.0)
        async with open_near_cache(store, clock=clock) as cache:
            assert await find(cache, token)
            clock.now += 60
            assert cached_session(cache, token, now=clock.now) is None
            assert await find(cache, token) is None

    async def test_what_was_noted_is_written_at_the_end(self, store: RecordingStore) -> None:
        clock = Clock()
        token, session = await sign_in(build_sessions(store, clock=clock))
        async with open_near_cache(store, clock=clock) as cache:
            assert await find(cache, token)
            clock.now += HOUR / 5
            assert cached_session(cache, token, now=clock.now)
        stored = await store.read(keys.last_use_key(session.public_id))
        assert stored == (b"%d" % (clock.now * 1000),)


async def test_before_anything_is_heard_every_look_asks(store: RecordingStore) -> None:
    token, session = await sign_in(build_sessions(store))
    async with open_near_cache(store, start=False) as cache:
        for _ in range(2):
            assert await find(cache, token) == session
            assert cached_session(cache, token) is None
        assert cache.entries == 0
        assert not cache.coherent


async def test_trouble_is_told_to_all_who_wait(redis: RecordingStore) -> None:
    token, _ = await sign_in(build_sessions(redis))
    async with open_near_cache(redis) as cache:

        async def fail() -> None:
            raise StoreUnavailable("lost")

        redis.after_read = fail
        results = await asyncio.gather(
            *(find(cache, token) for _ in range(3)),
            find(cache, "A" * 43),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [StoreUnavailable] * 4
        redis.after_read = None
        assert await find(cache, token) is not None
