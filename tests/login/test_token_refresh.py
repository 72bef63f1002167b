"""Refresh on the request path: once for all workers, never over a session that ended, and nobody is
signed out but by the provider's word."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.token_refresh import RefreshingSessionFinder
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cache import NearCache
from authz_sidecar.sessions.refresh_vault import LEASE_SECONDS, RefreshLease, refresh_time
from authz_sidecar.sessions.store import StoreEntry
from tests.login.dishonest_provider import TamperedProvider
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.servers.providers import running_certified_provider
from tests.support.sign_in import APP, AUTH, LIFETIME, WIKI, Clock, SignInFixture, running_sign_in
from tests.support.sign_in_steps import requested_nonce, requested_state, sign_in, start_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_sidecar.core.types import Session
    from tests.servers.browser import Browser

ACCESS_SECONDS = 600
DUE = ACCESS_SECONDS - 30.0
"""Within a minute of the end, and not past it."""


@dataclass
class RefreshFixture:
    """Alice is signed in at a provider that hands out refresh tokens and counts their use."""

    fixture: SignInFixture
    browser: Browser
    tampered_provider: TamperedProvider

    def worker(self) -> RefreshingSessionFinder:
        context = self.fixture.context
        return RefreshingSessionFinder(
            context.sessions,
            sessions=context.sessions,
            providers=context.providers,
            clock=context.clock,
        )

    async def check(
        self, host: str = APP, *, worker: RefreshingSessionFinder | None = None
    ) -> Session | None:
        context, origin = self.fixture.context, parse_origin(host)
        token = self.browser.cookies(origin.host)[context.cookies.name_for("corp", origin)]
        scope = context.cookies.scope_for(origin)
        return await (worker or self.worker()).find(token, scope=scope, provider="corp")

    def refreshes(self) -> list[str]:
        """The refresh tokens that the provider was shown."""
        bodies = [
            body for _, path, _, body in self.tampered_provider.server.seen if path == "/token"
        ]
        return [parse_qs(body.decode()).get("refresh_token", [""])[0] for body in bodies][1:]

    def advance_clock(self, seconds: float = DUE) -> None:
        self.fixture.clock.offset += seconds

    def set_groups(self, *groups: str) -> None:
        self.tampered_provider.server.answers["/userinfo"] = document(
            {"sub": "alice", "groups": groups}
        )

    def refuse_refresh(self, error: str, status: int = 400) -> None:
        self.tampered_provider.server.answers["/token"] = document({"error": error}, status)


@asynccontextmanager
async def signed_in(
    hostile: HostileProvider, *, sid: str | None = None, **more: Any
) -> AsyncIterator[RefreshFixture]:
    tampered_provider = TamperedProvider(hostile)
    clock = Clock(offset=0.0)  # as the provider's, which says when tokens expire
    async with (
        running_sign_in(hostile.issuer, clock=clock, **{"auth_host": None, **more}) as fixture,
        fixture.browser() as browser,
    ):
        scene = RefreshFixture(fixture, browser, tampered_provider)
        scene.set_groups("staff")
        asked = await browser.get(start_url(APP, "/"))
        home = APP if fixture.auth_host is None else AUTH
        if fixture.auth_host is not None:
            asked = await browser.get(asked.headers["location"])
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(nonce=await requested_nonce(asked), sid=sid),
            refresh_token="r0",
            expires_in=ACCESS_SECONDS,
        )
        back = await browser.get(
            f"{home}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
        )
        assert back.status_code == 303, back.text
        if fixture.auth_host is not None:
            await browser.get(back.headers["location"])
        used = 0

        def rotated(_body: bytes) -> Answer:
            nonlocal used
            used += 1
            tokens = {"access_token": f"a{used}", "refresh_token": f"r{used}"}
            return document({"token_type": "Bearer", "expires_in": ACCESS_SECONDS, **tokens})

        hostile.answers["/token"] = rotated
        yield scene


async def test_before_its_time_nobody_is_asked(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider) as scene:
        scene.advance_clock(ACCESS_SECONDS - 90)
        assert await scene.check() is not None
        assert scene.refreshes() == []


async def test_claims_and_groups_are_read_again(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider) as scene:
        before = await scene.check()
        assert before is not None
        scene.set_groups("staff", "admins")
        scene.advance_clock()
        after = await scene.check()
        assert after is not None
        assert (before.identity.groups, after.identity.groups) == (("staff",), ("staff", "admins"))
        assert (after.public_id, after.expires_at) == (before.public_id, before.expires_at)
        assert await scene.fixture.find_session(scene.browser, APP) == after
        assert scene.refreshes() == ["r0"]


async def test_rotated_tokens_are_used_next(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider) as scene:
        for _ in range(4):
            scene.advance_clock()
            assert await scene.check() is not None
        assert scene.refreshes() == ["r0", "r1", "r2", "r3"]


async def test_an_id_token_may_come_along(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider) as scene:
        token = scene.tampered_provider.id_token(name="Alice Again", nonce=None)
        scene.tampered_provider.set_token_response(
            id_token=token, refresh_token="r1", expires_in=ACCESS_SECONDS
        )
        scene.advance_clock()
        after = await scene.check()
        assert after is not None
        assert after.identity.name == "Alice Again"


async def test_one_request_of_all_asks(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider) as scene:
        scene.advance_clock()
        workers = [scene.worker() for _ in range(4)]
        found = await asyncio.gather(*(scene.check(worker=workers[n % 4]) for n in range(20)))
        assert all(session is not None for session in found)
        assert scene.refreshes() == ["r0"]
        assert await scene.check() is not None
        assert scene.refreshes() == ["r0"]


async def test_losers_do_not_wait(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider) as scene:
        scene.advance_clock()
        hold, answer = threading.Event(), hostile_provider.answers["/userinfo"]
        assert isinstance(answer, Answer)
        hostile_provider.answers["/userinfo"] = replace(answer, delay=hold)
        winner = asyncio.ensure_future(scene.check())
        while len(scene.refreshes()) < 1:  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)
        async with asyncio.timeout(2):
            assert await scene.check() is not None
        hold.set()
        assert await winner is not None
        assert scene.refreshes() == ["r0"]


@pytest.mark.parametrize("host", [APP, AUTH])
async def test_hosts_of_a_central_sign_in_share_one_refresh(
    hostile_provider: HostileProvider, host: str
) -> None:
    async with signed_in(hostile_provider, auth_host=AUTH) as scene:
        await sign_in(scene.browser, WIKI)
        scene.set_groups("admins")
        scene.advance_clock()
        for each in (host, APP, WIKI, AUTH):
            session = await scene.check(each)
            assert session is not None
            assert session.identity.groups == ("admins",), each
        assert scene.refreshes() == ["r0"]


@pytest.mark.parametrize("auth_host", [None, AUTH])
async def test_a_refusal_ends_the_session(
    hostile_provider: HostileProvider, auth_host: str | None
) -> None:
    async with signed_in(hostile_provider, auth_host=auth_host) as scene:
        scene.refuse_refresh("invalid_grant")
        scene.advance_clock()
        assert await scene.check() is None
        for host in (APP, auth_host or APP):
            assert await scene.fixture.find_session(scene.browser, host) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(status=503), id="503"),
        pytest.param(Answer(status=200, body=b"garbage"), id="garbage"),
        pytest.param(document({"error": "invalid_client"}, 401), id="our secret is wrong"),
        pytest.param(document({"error": "temporarily_unavailable"}, 400), id="not now"),
        pytest.param(Answer(status=302, headers={"location": "/elsewhere"}), id="redirect"),
    ],
)
async def test_an_outage_ends_nothing(hostile_provider: HostileProvider, answer: Answer) -> None:
    async with signed_in(hostile_provider) as scene:
        works, hostile_provider.answers["/token"] = hostile_provider.answers["/token"], answer
        scene.advance_clock()
        for _ in range(5):
            assert await scene.check() is not None
        assert scene.refreshes() == ["r0"], "asked once, then not for a while"
        hostile_provider.answers["/token"] = works
        scene.advance_clock(LEASE_SECONDS + 1)
        assert await scene.check() is not None
        assert scene.refreshes() == ["r0", "r0"]


async def test_new_tokens_are_kept_before_they_are_used(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider) as scene:
        works = hostile_provider.answers["/userinfo"]
        hostile_provider.answers["/userinfo"] = Answer(status=500)
        scene.advance_clock()
        assert await scene.check() is not None
        hostile_provider.answers["/userinfo"] = works
        scene.advance_clock(LEASE_SECONDS + 1)
        assert await scene.check() is not None
        assert scene.refreshes() == ["r0", "r1"], "the rotated token was not lost"


@pytest.mark.parametrize("failover", [False, True], ids=["", "and a failover loses the deletion"])
@pytest.mark.parametrize("by", ["session", "user", "provider session"])
async def test_a_sign_out_wins_against_a_refresh_under_way(
    hostile_provider: HostileProvider, by: str, *, failover: bool
) -> None:
    async with signed_in(hostile_provider, sid="at-the-provider") as scene:
        session = await scene.check()
        assert session is not None
        scene.advance_clock()
        hold, answer = threading.Event(), hostile_provider.answers["/userinfo"]
        assert isinstance(answer, Answer)
        hostile_provider.answers["/userinfo"] = replace(answer, delay=hold)
        checking = asyncio.ensure_future(scene.check())
        while len(scene.refreshes()) < 1:  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)
        kinds = (keys.session_key, keys.vault_key, keys.last_use_key, keys.listing_key)
        names = [kind(session.public_id) for kind in kinds]
        held = await scene.fixture.store.read(*names)
        sessions, who = scene.fixture.context.sessions, session.identity
        if by == "session":
            await sessions.end(session)
        elif by == "user":
            await sessions.end_user(provider="corp", issuer=who.issuer, subject=who.subject)
        else:
            await sessions.end_provider_session(
                provider="corp", issuer=who.issuer, sid="at-the-provider"
            )
        for name, value in zip(names, held, strict=True):
            if failover and value is not None:
                await scene.fixture.store.write(StoreEntry(name, value, LIFETIME))
        hold.set()
        assert await checking is None
        assert await scene.check() is None
        assert await scene.fixture.find_session(scene.browser, APP) is None


async def test_whoever_was_overtaken_stores_nothing(hostile_provider: HostileProvider) -> None:
    """The lock ran out while its holder slept; somebody else has refreshed since."""
    async with signed_in(hostile_provider) as scene:
        session = await scene.check()
        assert session is not None
        scene.advance_clock()
        context = scene.fixture.context
        token = scene.browser.cookies("app.example.com")["__Host-authz"]
        slow = await context.sessions.refresh.acquire(token, session, now=context.clock())
        assert isinstance(slow, RefreshLease)
        scene.advance_clock(LEASE_SECONDS - 10)
        assert isinstance(await scene.check(), type(session))
        assert scene.refreshes() == [], "the lock holds"
        scene.advance_clock(11)
        await scene.check()
        assert scene.refreshes() == ["r0"]
        assert await context.sessions.refresh.commit(slow, slow.vault) is None
        scene.advance_clock()
        await scene.check()
        assert scene.refreshes() == ["r0", "r1"]


async def test_the_tokens_of_somebody_else_end_the_session(
    hostile_provider: HostileProvider,
) -> None:
    async with signed_in(hostile_provider) as scene:
        hostile_provider.answers["/userinfo"] = document({"sub": "bob"})
        scene.advance_clock()
        assert await scene.check() is None
        assert await scene.fixture.find_session(scene.browser, APP) is None


async def test_without_a_refresh_token_nothing_is_refreshed(
    hostile_provider: HostileProvider,
) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/"))
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(nonce=await requested_nonce(asked)), expires_in=60
        )
        await browser.get(f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}")
        session = await fixture.find_session(browser, APP)
        assert session is not None
        assert session.refresh_at is None


async def test_nothing_of_it_is_readable_in_the_store(hostile_provider: HostileProvider) -> None:
    async with signed_in(hostile_provider, auth_host=AUTH) as scene:
        held = json.dumps([str(value) for value in vars(scene.fixture.store).values()])
        for secret in ("r0", "alice", "staff"):
            assert f'"{secret}"' not in held


@pytest.mark.parametrize(
    ("lifetime", "after"),
    [
        pytest.param(3600, 3540, id="an hour"),
        pytest.param(300, 240, id="five minutes"),
        pytest.param(100, 75, id="short"),
        pytest.param(10, 7.5, id="very short"),
        pytest.param(0, 0, id="none"),
    ],
)
def test_when_to_refresh(lifetime: float, after: float) -> None:
    assert refresh_time(1000 + lifetime, now=1000) == 1000 + after


async def test_memory_leaves_it_to_those_who_can_ask_the_provider(
    hostile_provider: HostileProvider,
) -> None:
    async with signed_in(hostile_provider) as scene:
        context, origin = scene.fixture.context, parse_origin(APP)
        near = NearCache(
            scene.fixture.store,
            secret_keys=scene.fixture.keys,
            idle_timeout=LIFETIME,
            grace=0,
            clock=context.clock,
        )
        near.start()
        worker = RefreshingSessionFinder(
            near, sessions=context.sessions, providers=context.providers, clock=context.clock
        )
        token = scene.browser.cookies("app.example.com")["__Host-authz"]

        def at_hand() -> Session | None:
            scope = context.cookies.scope_for(origin)
            entry = near.lookup(token, scope=scope, provider="corp", now=context.clock())
            return None if entry is None else entry.session

        try:
            found = await scene.check(worker=worker)
            assert at_hand() == found is not None
            scene.set_groups("admins")
            scene.advance_clock()
            assert at_hand() is None
            after = await scene.check(worker=worker)
            assert after is not None
            assert after.identity.groups == ("admins",)
            assert await scene.check(worker=worker) == after
            assert at_hand() == after
        finally:
            await near.aclose()


async def test_a_real_provider_that_rotates(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("rotating")
    with running_certified_provider(directory, access_token_seconds=600) as provider:
        async with running_sign_in(provider.issuer) as fixture, fixture.browser() as browser:
            await sign_in(browser)
            scene = RefreshFixture(fixture, browser, TamperedProvider(HostileProvider()))
            for _ in range(3):  # a token that was used before would end the grant there
                before = await fixture.find_session(browser, APP)
                assert before is not None
                assert before.refresh_at is not None
                scene.advance_clock(before.refresh_at - fixture.clock() + 1)
                after = await scene.check()
                assert after is not None
                assert (after.refresh_at or 0) > before.refresh_at
                assert after.identity.email == before.identity.email == "alice@example.com"
