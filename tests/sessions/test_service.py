"""Sessions: born, found, kept alive, listed and ended, the same on every store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.types import SessionKind
from authz_sidecar.errors import LoginRefused
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import MemoryStore, SessionService
from authz_sidecar.sessions.cookie import is_well_formed_token
from authz_sidecar.sessions.records import ProviderTokens
from authz_sidecar.sessions.redis import invalidation
from tests.sessions.conftest import (
    ALICE,
    APP,
    AUTH,
    BOB,
    HOUR,
    NEW,
    OLD,
    WIKI,
    create_child,
    is_active,
    open_store_fixture,
    sign_in,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.sessions.conftest import StoreFixture

USER: Any = {"provider": "corp", "issuer": ALICE.issuer, "subject": "alice"}
PROVIDER_SESSION: Any = {"provider": "corp", "issuer": ALICE.issuer, "sid": "sid-1"}


@pytest.fixture(params=["memory", "redis", "cluster", "near memory", "near redis", "near cluster"])
async def store_fixture(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StoreFixture]:
    """The gate finds sessions through a near cache: there they must be the same."""
    # Every look waits for an answer that is newer than itself.
    monkeypatch.setattr(invalidation, "PING_INTERVAL_SECONDS", 0.001)
    async with open_store_fixture(request.param, request) as fixture:
        yield fixture


async def test_what_was_created_is_found(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    token, session = await sign_in(sessions)
    assert is_well_formed_token(token)
    assert session.kind is SessionKind.SIGN_IN
    assert (session.created_at, session.expires_at) == (
        store_fixture.clock.now,
        store_fixture.clock.now + 10 * HOUR,
    )
    assert (session.identity, session.provider_session, session.parent_id) == (ALICE, "sid-1", None)
    assert await sessions.find(token, scope=AUTH, provider="corp") == session


async def test_every_session_has_an_id_of_its_own(sessions: SessionService) -> None:
    made = [await sign_in(sessions) for _ in range(5)]
    assert len({token for token, _ in made}) == len({session.public_id for _, session in made}) == 5


@pytest.mark.parametrize(
    ("scope", "provider"),
    [
        pytest.param(APP, "corp", id="another host"),
        pytest.param("http://auth.example.com", "corp", id="another scheme"),
        pytest.param(".example.com", "corp", id="the domain"),
        pytest.param(AUTH, "lab", id="another provider"),
    ],
)
async def test_a_session_is_good_for_its_scope_and_provider(
    sessions: SessionService, scope: str, provider: str
) -> None:
    token, _ = await sign_in(sessions)
    assert await sessions.find(token, scope=scope, provider=provider) is None
    assert await is_active(sessions, token)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("A" * 43, id="unknown"),
        pytest.param("A" * 42 + "B", id="a second spelling"),
        pytest.param("A" * 65000, id="64 kB"),
        pytest.param("*", id="metacharacter"),
        pytest.param("\r\nFLUSHALL\r\n", id="command"),
        pytest.param("é" * 43, id="not ASCII"),
    ],
)
async def test_other_tokens_are_no_session(sessions: SessionService, token: str) -> None:
    assert await sessions.find(token, scope=AUTH, provider="corp") is None
    assert await sessions.provider_tokens(token) is None
    assert await sessions.one_time.redeem_ticket(token) is None


async def test_an_unknown_id_is_never_adopted(sessions: SessionService) -> None:
    unknown = "A" * 43
    assert not await is_active(sessions, unknown)
    token, _ = await sign_in(sessions)
    assert token != unknown
    assert not await is_active(sessions, unknown)


async def test_a_session_ends_with_its_lifetime(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    token, session = await sign_in(sessions)
    while store_fixture.clock.now + HOUR / 2 < session.expires_at:
        store_fixture.clock.now += HOUR / 2
        assert await is_active(sessions, token)
    store_fixture.clock.now = session.expires_at
    assert not await is_active(sessions, token)


async def test_a_lifetime_can_be_shorter(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    token, session = await sign_in(sessions, lifetime=60.0)
    assert session.expires_at == store_fixture.clock.now + 60
    store_fixture.clock.now += 60
    assert not await is_active(sessions, token)


async def test_a_session_nobody_uses_ends(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    token, _ = await sign_in(sessions)
    store_fixture.clock.now += HOUR - 1
    assert await is_active(sessions, token)
    store_fixture.clock.now += HOUR
    assert not await is_active(sessions, token)


async def test_looking_elsewhere_is_no_use(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    token, _ = await sign_in(sessions)
    store_fixture.clock.now += HOUR - 1
    assert not await is_active(sessions, token, scope=APP)
    store_fixture.clock.now += 1
    assert not await is_active(sessions, token)


async def test_using_a_child_keeps_its_parent_and_siblings_alive(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    parent_token, parent = await sign_in(sessions)
    app_token, app = await create_child(sessions, parent)
    wiki_token, _ = await create_child(sessions, parent, WIKI)
    assert (app.kind, app.parent_id, app.scope) == (SessionKind.CHILD, parent.public_id, APP)
    for _ in range(4):
        store_fixture.clock.now += HOUR / 2
        assert await is_active(sessions, app_token, APP)
    assert await is_active(sessions, parent_token)
    assert await is_active(sessions, wiki_token, WIKI)
    store_fixture.clock.now += HOUR
    assert not await is_active(sessions, app_token, APP)


async def test_a_child_opens_no_other_host(sessions: SessionService) -> None:
    _, parent = await sign_in(sessions)
    token, _ = await create_child(sessions, parent)
    assert await is_active(sessions, token, APP)
    assert not await is_active(sessions, token, WIKI)
    assert not await is_active(sessions, token, AUTH)


async def test_a_child_ends_with_its_parent_at_the_latest(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    _, parent = await sign_in(sessions)
    store_fixture.clock.now += HOUR / 2
    _, long = await create_child(sessions, parent)
    _, short = await create_child(sessions, parent, lifetime=60.0)
    assert long.expires_at == parent.expires_at
    assert short.expires_at == store_fixture.clock.now + 60


async def test_a_child_shares_its_parents_provider_session(sessions: SessionService) -> None:
    _, parent = await sign_in(sessions)
    token, session = await create_child(sessions, parent, provider_session="sid-of-somebody-else")
    assert session.provider_session == "sid-1"
    assert await sessions.end_provider_session(**PROVIDER_SESSION) == 2
    assert not await is_active(sessions, token, APP)


async def test_ending_a_sign_in_ends_its_children(sessions: SessionService) -> None:
    parent_token, parent = await sign_in(sessions)
    app_token, _ = await create_child(sessions, parent)
    wiki_token, _ = await create_child(sessions, parent, WIKI)
    other_token, _ = await sign_in(sessions)
    await sessions.end(parent)
    assert not await is_active(sessions, parent_token)
    assert not await is_active(sessions, app_token, APP)
    assert not await is_active(sessions, wiki_token, WIKI)
    assert await is_active(sessions, other_token)
    await sessions.end(parent)


async def test_ending_a_child_ends_itself_alone(sessions: SessionService) -> None:
    parent_token, parent = await sign_in(sessions)
    app_token, app = await create_child(sessions, parent)
    wiki_token, _ = await create_child(sessions, parent, WIKI)
    await sessions.end(app)
    assert not await is_active(sessions, app_token, APP)
    assert await is_active(sessions, parent_token)
    assert await is_active(sessions, wiki_token, WIKI)


async def test_a_parent_that_ended_has_no_more_children(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    _, ended = await sign_in(sessions)
    await sessions.end(ended)
    with pytest.raises(LoginRefused):
        await create_child(sessions, ended)
    _, idle = await sign_in(sessions, lifetime=60.0)
    store_fixture.clock.now += 61
    with pytest.raises(LoginRefused):
        await create_child(sessions, idle)


async def test_only_a_sign_in_of_the_same_user_is_a_parent(sessions: SessionService) -> None:
    _, parent = await sign_in(sessions)
    _, app = await create_child(sessions, parent)
    with pytest.raises(ValueError, match="parent"):
        await create_child(sessions, app)
    with pytest.raises(ValueError, match="parent"):
        await sessions.create(identity=BOB, scope=APP, parent=parent)


async def test_ending_a_user_ends_all_of_theirs_and_nobody_elses(sessions: SessionService) -> None:
    token, parent = await sign_in(sessions)
    app_token, _ = await create_child(sessions, parent)
    second, _ = await sign_in(sessions, provider_session=None)
    bobs, _ = await sign_in(sessions, identity=BOB, provider_session="sid-2")
    namesake, _ = await sign_in(sessions, identity=replace(ALICE, issuer="https://other.example"))
    assert await sessions.end_user(**USER) == 3
    assert not await is_active(sessions, token)
    assert not await is_active(sessions, app_token, APP)
    assert not await is_active(sessions, second)
    assert await is_active(sessions, bobs)
    assert await is_active(sessions, namesake)
    assert await sessions.end_user(**USER) == 0


async def test_ending_a_provider_session_ends_what_came_of_it(sessions: SessionService) -> None:
    token, parent = await sign_in(sessions)
    app_token, _ = await create_child(sessions, parent)
    other, _ = await sign_in(sessions, provider_session="sid-2")
    assert await sessions.end_provider_session(**PROVIDER_SESSION) == 2
    assert not await is_active(sessions, token)
    assert not await is_active(sessions, app_token, APP)
    assert await is_active(sessions, other)
    assert [each.provider_session for each in await sessions.list_for_user(**USER)] == ["sid-2"]


async def test_who_was_signed_out_may_sign_in_again(sessions: SessionService) -> None:
    await sign_in(sessions)
    await sessions.end_user(**USER)
    await sessions.end_provider_session(**PROVIDER_SESSION)
    token, parent = await sign_in(sessions)
    app_token, _ = await create_child(sessions, parent)
    assert await is_active(sessions, token)
    assert await is_active(sessions, app_token, APP)
    await sessions.end_user(**USER)
    assert not await is_active(sessions, token)


async def test_lists_the_newest_first_with_what_is_known(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    start = store_fixture.clock.now
    token, parent = await sign_in(sessions, client="192.0.2.7", user_agent="Browser/1")
    store_fixture.clock.now += 60
    app_token, app = await create_child(sessions, parent, client="192.0.2.8", user_agent="x" * 5000)
    await sign_in(sessions, identity=BOB)
    store_fixture.clock.now += HOUR / 2
    assert await is_active(sessions, app_token, APP)
    newest, oldest = await sessions.list_for_user(**USER)
    assert (newest.handle, newest.parent, newest.scope) == (app.public_id, parent.public_id, APP)
    assert (newest.created_at, newest.client) == (start + 60, "192.0.2.8")
    assert len(newest.user_agent) == 256
    assert (oldest.handle, oldest.kind) == (parent.public_id, SessionKind.SIGN_IN)
    assert (oldest.client, oldest.user_agent) == ("192.0.2.7", "Browser/1")
    assert oldest.expires_at == start + 10 * HOUR
    assert newest.last_used_at == oldest.last_used_at == store_fixture.clock.now
    assert token not in f"{newest}{oldest}"


async def test_lists_nothing_that_ended(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    _, first = await sign_in(sessions)
    await create_child(sessions, first)
    await sign_in(sessions, lifetime=60.0)
    store_fixture.clock.now += 60
    assert len(await sessions.list_for_user(**USER)) == 2
    await sessions.end(first)
    assert await sessions.list_for_user(**USER) == ()
    await sign_in(sessions)
    store_fixture.clock.now += HOUR
    assert await sessions.list_for_user(**USER) == ()


async def test_tokens_are_kept_with_the_session(sessions: SessionService) -> None:
    tokens = ProviderTokens(id_token="i" * 900, refresh_token="r", expires_at=5.0)
    token, session = await sign_in(sessions, tokens=tokens)
    without, _ = await sign_in(sessions)
    assert await sessions.provider_tokens(token) == tokens
    assert await sessions.provider_tokens(without) is None
    await sessions.end(session)
    assert await sessions.provider_tokens(token) is None


async def test_a_ticket_is_taken_once(sessions: SessionService) -> None:
    ticket = await sessions.one_time.issue_ticket(b"payload")
    assert await sessions.one_time.redeem_ticket(ticket) == b"payload"
    assert await sessions.one_time.redeem_ticket(ticket) is None


async def test_a_ticket_and_a_session_are_not_mistaken(sessions: SessionService) -> None:
    token, _ = await sign_in(sessions)
    assert await sessions.one_time.redeem_ticket(token) is None
    ticket = await sessions.one_time.issue_ticket(b"payload")
    assert not await is_active(sessions, ticket)


async def test_remembers_once(sessions: SessionService) -> None:
    assert await sessions.one_time.mark_used("state-1", ttl=60)
    assert not await sessions.one_time.mark_used("state-1", ttl=60)
    assert await sessions.one_time.mark_used("state-2", ttl=60)


async def test_counts(sessions: SessionService) -> None:
    assert [await sessions.one_time.count("start 192.0.2.0/24", window=60) for _ in range(3)] == [
        1,
        2,
        3,
    ]
    assert await sessions.one_time.count("start 198.51.100.0/24", window=60) == 1


ROTATION = {
    "added": (OLD, NEW),
    "moved": (NEW, OLD),
}


@pytest.mark.parametrize("made_by", [(OLD,), *ROTATION.values()], ids=["before", *ROTATION])
@pytest.mark.parametrize("read_by", ROTATION.values(), ids=ROTATION)
async def test_a_rotation_loses_nobody(
    store_fixture: StoreFixture, made_by: tuple[bytes, ...], read_by: tuple[bytes, ...]
) -> None:
    maker, reader = store_fixture.sessions(*made_by), store_fixture.sessions(*read_by)
    token, parent = await sign_in(maker, tokens=ProviderTokens(id_token="i"))
    app_token, _ = await create_child(reader, parent)
    assert await is_active(reader, token)
    assert await is_active(reader, app_token, APP)
    assert await reader.provider_tokens(token) == ProviderTokens(id_token="i")
    assert len(await reader.list_for_user(**USER)) == 2
    assert await reader.one_time.redeem_ticket(await maker.one_time.issue_ticket(b"x")) == b"x"
    assert await maker.one_time.mark_used("state", ttl=60)
    assert not await reader.one_time.mark_used("state", ttl=60)
    assert await reader.end_user(**USER) == 2
    assert not await is_active(maker, token)
    assert not await is_active(reader, app_token, APP)


@pytest.mark.parametrize("revoked_by", ROTATION.values(), ids=ROTATION)
@pytest.mark.parametrize("made_by", ROTATION.values(), ids=ROTATION)
async def test_a_revocation_reaches_replicas_in_the_middle_of_a_rotation(
    store_fixture: StoreFixture, made_by: tuple[bytes, ...], revoked_by: tuple[bytes, ...]
) -> None:
    maker, revoker = store_fixture.sessions(*made_by), store_fixture.sessions(*revoked_by)
    token, session = await sign_in(maker)
    second, _ = await sign_in(maker)
    await revoker.end(session)
    assert not await is_active(maker, token)
    await revoker.end_provider_session(**PROVIDER_SESSION)
    assert not await is_active(maker, second)


async def test_a_retired_secret_opens_nothing(store_fixture: StoreFixture) -> None:
    token, _ = await sign_in(store_fixture.sessions(OLD))
    assert not await is_active(store_fixture.sessions(NEW), token)


ROBOT = replace(
    ALICE,
    provider="service-account",
    issuer="",
    subject="service-account/robot",
    claims={},
    is_service=True,
)
ACCOUNTS: Any = {"provider": "service-account", "issuer": "", "sid": "all"}


async def create_service_account(sessions: SessionService, **options: Any) -> str:
    token, _ = await sessions.create(
        identity=ROBOT,
        scope="machines",
        provider_session="all",
        kind=SessionKind.SERVICE_ACCOUNT,
        lifetime=100 * HOUR,
        **options,
    )
    return token


async def is_service_account_active(sessions: SessionService, token: str) -> bool:
    return await sessions.find(token, scope="machines", provider="service-account") is not None


async def test_a_machine_is_never_idle_and_ends_when_it_was_said_to(
    store_fixture: StoreFixture, sessions: SessionService
) -> None:
    token = await create_service_account(sessions)
    store_fixture.clock.now += 60 * HOUR
    assert await is_service_account_active(sessions, token)
    store_fixture.clock.now += 39 * HOUR
    assert await is_service_account_active(sessions, token)
    [listed] = await sessions.list_for_provider_session(**ACCOUNTS)
    assert listed.subject == "service-account/robot"
    store_fixture.clock.now += HOUR
    assert not await is_service_account_active(sessions, token)
    assert await sessions.list_for_provider_session(**ACCOUNTS) == ()


async def test_a_machine_says_what_it_is_confined_to(sessions: SessionService) -> None:
    token = await create_service_account(sessions, routes=("one", "two"))
    found = await sessions.find(token, scope="machines", provider="service-account")
    assert found is not None
    assert (found.routes, found.identity) == (("one", "two"), ROBOT)
    [listed] = await sessions.list_for_provider_session(**ACCOUNTS)
    assert listed.routes == ("one", "two")


async def test_one_machine_of_a_name_ends_and_the_other_does_not(sessions: SessionService) -> None:
    one, other = (
        await create_service_account(sessions),
        await create_service_account(sessions, routes=("other",)),
    )
    [ended] = [
        each for each in await sessions.list_for_provider_session(**ACCOUNTS) if not each.routes
    ]
    await sessions.end_listed(ended)
    assert not await is_service_account_active(sessions, one)
    assert await is_service_account_active(sessions, other)


async def test_a_tool_ends_with_the_sign_in_it_came_of(sessions: SessionService) -> None:
    _, parent = await sign_in(sessions)
    token, tool = await create_child(sessions, parent, f"tool:{APP}", kind=SessionKind.TOOL)
    assert tool.kind is SessionKind.TOOL
    assert await is_active(sessions, token, f"tool:{APP}")
    assert not await is_active(sessions, token, APP)
    await sessions.end(parent)
    assert not await is_active(sessions, token, f"tool:{APP}")


@pytest.mark.parametrize(
    ("subject", "machine", "welcome"),
    [
        pytest.param("ci/bot", False, False, id="called like a program"),
        pytest.param("ci/", False, False, id="almost"),
        pytest.param("ci", False, True, id="like an issuer"),
        pytest.param("cin/bot", False, True, id="another word"),
        pytest.param("corp/ci/bot", False, True, id="further inside"),
        pytest.param("ci/bot", True, True, id="a program"),
    ],
)
async def test_nobody_who_signs_in_is_called_like_a_program(
    subject: str, *, machine: bool, welcome: bool
) -> None:
    sessions = SessionService(
        store=MemoryStore(),
        secret_keys=SecretKeys([OLD]),
        lifetime=HOUR,
        idle_timeout=HOUR,
        reserved_namespaces=frozenset({"ci"}),
    )
    identity = replace(ALICE, subject=subject, is_service=machine)
    if welcome:
        await sessions.create(identity=identity, scope=APP)
    else:
        with pytest.raises(LoginRefused):
            await sessions.create(identity=identity, scope=APP)
