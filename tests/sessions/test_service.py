"""Sessions: born, found, kept alive, listed and ended, the same on every store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.types import SessionKind
from authz_sidecar.errors import LoginRefused
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import MemoryStore, Sessions
from authz_sidecar.sessions.cookie import is_token
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
    child,
    lives,
    sign_in,
    world_on,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.sessions.conftest import World

USER: Any = {"provider": "corp", "issuer": ALICE.issuer, "subject": "alice"}
PROVIDER_SESSION: Any = {"provider": "corp", "issuer": ALICE.issuer, "sid": "sid-1"}


@pytest.fixture(params=["memory", "redis", "cluster", "near memory", "near redis", "near cluster"])
async def world(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """The gate finds sessions through a near cache: there they must be the same."""
    # Every look waits for an answer that is newer than itself.
    monkeypatch.setattr(invalidation, "SECONDS_BETWEEN_PINGS", 0.001)
    async with world_on(request.param, request) as world:
        yield world


async def test_what_was_created_is_found(world: World, sessions: Sessions) -> None:
    token, session = await sign_in(sessions)
    assert is_token(token)
    assert session.kind is SessionKind.SIGN_IN
    assert (session.created_at, session.expires_at) == (
        world.clock.now,
        world.clock.now + 10 * HOUR,
    )
    assert (session.identity, session.provider_session, session.parent) == (ALICE, "sid-1", None)
    assert await sessions.find(token, scope=AUTH, provider="corp") == session


async def test_every_session_has_an_id_of_its_own(sessions: Sessions) -> None:
    made = [await sign_in(sessions) for _ in range(5)]
    assert len({token for token, _ in made}) == len({session.handle for _, session in made}) == 5


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
    sessions: Sessions, scope: str, provider: str
) -> None:
    token, _ = await sign_in(sessions)
    assert await sessions.find(token, scope=scope, provider=provider) is None
    assert await lives(sessions, token)


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
async def test_other_tokens_are_no_session(sessions: Sessions, token: str) -> None:
    assert await sessions.find(token, scope=AUTH, provider="corp") is None
    assert await sessions.tokens(token) is None
    assert await sessions.notes.take_ticket(token) is None


async def test_an_unknown_id_is_never_adopted(sessions: Sessions) -> None:
    unknown = "A" * 43
    assert not await lives(sessions, unknown)
    token, _ = await sign_in(sessions)
    assert token != unknown
    assert not await lives(sessions, unknown)


async def test_a_session_ends_with_its_lifetime(world: World, sessions: Sessions) -> None:
    token, session = await sign_in(sessions)
    while world.clock.now + HOUR / 2 < session.expires_at:
        world.clock.now += HOUR / 2
        assert await lives(sessions, token)
    world.clock.now = session.expires_at
    assert not await lives(sessions, token)


async def test_a_lifetime_can_be_shorter(world: World, sessions: Sessions) -> None:
    token, session = await sign_in(sessions, lifetime=60.0)
    assert session.expires_at == world.clock.now + 60
    world.clock.now += 60
    assert not await lives(sessions, token)


async def test_a_session_nobody_uses_ends(world: World, sessions: Sessions) -> None:
    token, _ = await sign_in(sessions)
    world.clock.now += HOUR - 1
    assert await lives(sessions, token)
    world.clock.now += HOUR
    assert not await lives(sessions, token)


async def test_looking_elsewhere_is_no_use(world: World, sessions: Sessions) -> None:
    token, _ = await sign_in(sessions)
    world.clock.now += HOUR - 1
    assert not await lives(sessions, token, scope=APP)
    world.clock.now += 1
    assert not await lives(sessions, token)


async def test_using_a_child_keeps_its_parent_and_siblings_alive(
    world: World, sessions: Sessions
) -> None:
    parent_token, parent = await sign_in(sessions)
    app_token, app = await child(sessions, parent)
    wiki_token, _ = await child(sessions, parent, WIKI)
    assert (app.kind, app.parent, app.scope) == (SessionKind.CHILD, parent.handle, APP)
    for _ in range(4):
        world.clock.now += HOUR / 2
        assert await lives(sessions, app_token, APP)
    assert await lives(sessions, parent_token)
    assert await lives(sessions, wiki_token, WIKI)
    world.clock.now += HOUR
    assert not await lives(sessions, app_token, APP)


async def test_a_child_opens_no_other_host(sessions: Sessions) -> None:
    _, parent = await sign_in(sessions)
    token, _ = await child(sessions, parent)
    assert await lives(sessions, token, APP)
    assert not await lives(sessions, token, WIKI)
    assert not await lives(sessions, token, AUTH)


async def test_a_child_ends_with_its_parent_at_the_latest(world: World, sessions: Sessions) -> None:
    _, parent = await sign_in(sessions)
    world.clock.now += HOUR / 2
    _, long = await child(sessions, parent)
    _, short = await child(sessions, parent, lifetime=60.0)
    assert long.expires_at == parent.expires_at
    assert short.expires_at == world.clock.now + 60


async def test_a_child_shares_its_parents_provider_session(sessions: Sessions) -> None:
    _, parent = await sign_in(sessions)
    token, session = await child(sessions, parent, provider_session="sid-of-somebody-else")
    assert session.provider_session == "sid-1"
    assert await sessions.end_provider_session(**PROVIDER_SESSION) == 2
    assert not await lives(sessions, token, APP)


async def test_ending_a_sign_in_ends_its_children(sessions: Sessions) -> None:
    parent_token, parent = await sign_in(sessions)
    app_token, _ = await child(sessions, parent)
    wiki_token, _ = await child(sessions, parent, WIKI)
    other_token, _ = await sign_in(sessions)
    await sessions.end(parent)
    assert not await lives(sessions, parent_token)
    assert not await lives(sessions, app_token, APP)
    assert not await lives(sessions, wiki_token, WIKI)
    assert await lives(sessions, other_token)
    await sessions.end(parent)


async def test_ending_a_child_ends_itself_alone(sessions: Sessions) -> None:
    parent_token, parent = await sign_in(sessions)
    app_token, app = await child(sessions, parent)
    wiki_token, _ = await child(sessions, parent, WIKI)
    await sessions.end(app)
    assert not await lives(sessions, app_token, APP)
    assert await lives(sessions, parent_token)
    assert await lives(sessions, wiki_token, WIKI)


async def test_a_parent_that_ended_has_no_more_children(world: World, sessions: Sessions) -> None:
    _, ended = await sign_in(sessions)
    await sessions.end(ended)
    with pytest.raises(LoginRefused):
        await child(sessions, ended)
    _, idle = await sign_in(sessions, lifetime=60.0)
    world.clock.now += 61
    with pytest.raises(LoginRefused):
        await child(sessions, idle)


async def test_only_a_sign_in_of_the_same_user_is_a_parent(sessions: Sessions) -> None:
    _, parent = await sign_in(sessions)
    _, app = await child(sessions, parent)
    with pytest.raises(ValueError, match="parent"):
        await child(sessions, app)
    with pytest.raises(ValueError, match="parent"):
        await sessions.create(identity=BOB, scope=APP, parent=parent)


async def test_ending_a_user_ends_all_of_theirs_and_nobody_elses(sessions: Sessions) -> None:
    token, parent = await sign_in(sessions)
    app_token, _ = await child(sessions, parent)
    second, _ = await sign_in(sessions, provider_session=None)
    bobs, _ = await sign_in(sessions, identity=BOB, provider_session="sid-2")
    namesake, _ = await sign_in(sessions, identity=replace(ALICE, issuer="https://other.example"))
    assert await sessions.end_user(**USER) == 3
    assert not await lives(sessions, token)
    assert not await lives(sessions, app_token, APP)
    assert not await lives(sessions, second)
    assert await lives(sessions, bobs)
    assert await lives(sessions, namesake)
    assert await sessions.end_user(**USER) == 0


async def test_ending_a_provider_session_ends_what_came_of_it(sessions: Sessions) -> None:
    token, parent = await sign_in(sessions)
    app_token, _ = await child(sessions, parent)
    other, _ = await sign_in(sessions, provider_session="sid-2")
    assert await sessions.end_provider_session(**PROVIDER_SESSION) == 2
    assert not await lives(sessions, token)
    assert not await lives(sessions, app_token, APP)
    assert await lives(sessions, other)
    assert [each.provider_session for each in await sessions.of_user(**USER)] == ["sid-2"]


async def test_who_was_signed_out_may_sign_in_again(sessions: Sessions) -> None:
    await sign_in(sessions)
    await sessions.end_user(**USER)
    await sessions.end_provider_session(**PROVIDER_SESSION)
    token, parent = await sign_in(sessions)
    app_token, _ = await child(sessions, parent)
    assert await lives(sessions, token)
    assert await lives(sessions, app_token, APP)
    await sessions.end_user(**USER)
    assert not await lives(sessions, token)


async def test_lists_the_newest_first_with_what_is_known(world: World, sessions: Sessions) -> None:
    start = world.clock.now
    token, parent = await sign_in(sessions, client="192.0.2.7", user_agent="Browser/1")
    world.clock.now += 60
    app_token, app = await child(sessions, parent, client="192.0.2.8", user_agent="x" * 5000)
    await sign_in(sessions, identity=BOB)
    world.clock.now += HOUR / 2
    assert await lives(sessions, app_token, APP)
    newest, oldest = await sessions.of_user(**USER)
    assert (newest.handle, newest.parent, newest.scope) == (app.handle, parent.handle, APP)
    assert (newest.created_at, newest.client) == (start + 60, "192.0.2.8")
    assert len(newest.user_agent) == 256
    assert (oldest.handle, oldest.kind) == (parent.handle, SessionKind.SIGN_IN)
    assert (oldest.client, oldest.user_agent) == ("192.0.2.7", "Browser/1")
    assert oldest.expires_at == start + 10 * HOUR
    assert newest.last_used_at == oldest.last_used_at == world.clock.now
    assert token not in f"{newest}{oldest}"


async def test_lists_nothing_that_ended(world: World, sessions: Sessions) -> None:
    _, first = await sign_in(sessions)
    await child(sessions, first)
    await sign_in(sessions, lifetime=60.0)
    world.clock.now += 60
    assert len(await sessions.of_user(**USER)) == 2
    await sessions.end(first)
    assert await sessions.of_user(**USER) == ()
    await sign_in(sessions)
    world.clock.now += HOUR
    assert await sessions.of_user(**USER) == ()


async def test_tokens_are_kept_with_the_session(sessions: Sessions) -> None:
    tokens = ProviderTokens(id_token="i" * 900, refresh_token="r", expires_at=5.0)
    token, session = await sign_in(sessions, tokens=tokens)
    without, _ = await sign_in(sessions)
    assert await sessions.tokens(token) == tokens
    assert await sessions.tokens(without) is None
    await sessions.end(session)
    assert await sessions.tokens(token) is None


async def test_a_ticket_is_taken_once(sessions: Sessions) -> None:
    ticket = await sessions.notes.put_ticket(b"payload")
    assert await sessions.notes.take_ticket(ticket) == b"payload"
    assert await sessions.notes.take_ticket(ticket) is None


async def test_a_ticket_and_a_session_are_not_mistaken(sessions: Sessions) -> None:
    token, _ = await sign_in(sessions)
    assert await sessions.notes.take_ticket(token) is None
    ticket = await sessions.notes.put_ticket(b"payload")
    assert not await lives(sessions, ticket)


async def test_remembers_once(sessions: Sessions) -> None:
    assert await sessions.notes.remember_once("state-1", ttl=60)
    assert not await sessions.notes.remember_once("state-1", ttl=60)
    assert await sessions.notes.remember_once("state-2", ttl=60)


async def test_counts(sessions: Sessions) -> None:
    assert [await sessions.notes.count("start 192.0.2.0/24", window=60) for _ in range(3)] == [
        1,
        2,
        3,
    ]
    assert await sessions.notes.count("start 198.51.100.0/24", window=60) == 1


ROTATION = {
    "added": (OLD, NEW),
    "moved": (NEW, OLD),
}


@pytest.mark.parametrize("made_by", [(OLD,), *ROTATION.values()], ids=["before", *ROTATION])
@pytest.mark.parametrize("read_by", ROTATION.values(), ids=ROTATION)
async def test_a_rotation_loses_nobody(
    world: World, made_by: tuple[bytes, ...], read_by: tuple[bytes, ...]
) -> None:
    maker, reader = world.sessions(*made_by), world.sessions(*read_by)
    token, parent = await sign_in(maker, tokens=ProviderTokens(id_token="i"))
    app_token, _ = await child(reader, parent)
    assert await lives(reader, token)
    assert await lives(reader, app_token, APP)
    assert await reader.tokens(token) == ProviderTokens(id_token="i")
    assert len(await reader.of_user(**USER)) == 2
    assert await reader.notes.take_ticket(await maker.notes.put_ticket(b"x")) == b"x"
    assert await maker.notes.remember_once("state", ttl=60)
    assert not await reader.notes.remember_once("state", ttl=60)
    assert await reader.end_user(**USER) == 2
    assert not await lives(maker, token)
    assert not await lives(reader, app_token, APP)


@pytest.mark.parametrize("revoked_by", ROTATION.values(), ids=ROTATION)
@pytest.mark.parametrize("made_by", ROTATION.values(), ids=ROTATION)
async def test_a_revocation_reaches_replicas_in_the_middle_of_a_rotation(
    world: World, made_by: tuple[bytes, ...], revoked_by: tuple[bytes, ...]
) -> None:
    maker, revoker = world.sessions(*made_by), world.sessions(*revoked_by)
    token, session = await sign_in(maker)
    second, _ = await sign_in(maker)
    await revoker.end(session)
    assert not await lives(maker, token)
    await revoker.end_provider_session(**PROVIDER_SESSION)
    assert not await lives(maker, second)


async def test_a_retired_secret_opens_nothing(world: World) -> None:
    token, _ = await sign_in(world.sessions(OLD))
    assert not await lives(world.sessions(NEW), token)


ROBOT = replace(
    ALICE,
    provider="service-account",
    issuer="",
    subject="service-account/robot",
    claims={},
    machine=True,
)
ACCOUNTS: Any = {"provider": "service-account", "issuer": "", "sid": "all"}


async def machine(sessions: Sessions, **options: Any) -> str:
    token, _ = await sessions.create(
        identity=ROBOT,
        scope="machines",
        provider_session="all",
        kind=SessionKind.SERVICE_ACCOUNT,
        lifetime=100 * HOUR,
        **options,
    )
    return token


async def machine_lives(sessions: Sessions, token: str) -> bool:
    return await sessions.find(token, scope="machines", provider="service-account") is not None


async def test_a_machine_is_never_idle_and_ends_when_it_was_said_to(
    world: World, sessions: Sessions
) -> None:
    token = await machine(sessions)
    world.clock.now += 60 * HOUR
    assert await machine_lives(sessions, token)
    world.clock.now += 39 * HOUR
    assert await machine_lives(sessions, token)
    [listed] = await sessions.of_provider_session(**ACCOUNTS)
    assert listed.subject == "service-account/robot"
    world.clock.now += HOUR
    assert not await machine_lives(sessions, token)
    assert await sessions.of_provider_session(**ACCOUNTS) == ()


async def test_a_machine_says_what_it_is_confined_to(sessions: Sessions) -> None:
    token = await machine(sessions, routes=("one", "two"))
    found = await sessions.find(token, scope="machines", provider="service-account")
    assert found is not None
    assert (found.routes, found.identity) == (("one", "two"), ROBOT)
    [listed] = await sessions.of_provider_session(**ACCOUNTS)
    assert listed.routes == ("one", "two")


async def test_one_machine_of_a_name_ends_and_the_other_does_not(sessions: Sessions) -> None:
    one, other = await machine(sessions), await machine(sessions, routes=("other",))
    [ended] = [each for each in await sessions.of_provider_session(**ACCOUNTS) if not each.routes]
    await sessions.end_listed(ended)
    assert not await machine_lives(sessions, one)
    assert await machine_lives(sessions, other)


async def test_a_tool_ends_with_the_sign_in_it_came_of(sessions: Sessions) -> None:
    _, parent = await sign_in(sessions)
    token, tool = await child(sessions, parent, f"tool:{APP}", kind=SessionKind.TOOL)
    assert tool.kind is SessionKind.TOOL
    assert await lives(sessions, token, f"tool:{APP}")
    assert not await lives(sessions, token, APP)
    await sessions.end(parent)
    assert not await lives(sessions, token, f"tool:{APP}")


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
    sessions = Sessions(
        store=MemoryStore(),
        secret_keys=SecretKeys([OLD]),
        lifetime=HOUR,
        idle_timeout=HOUR,
        machines=frozenset({"ci"}),
    )
    identity = replace(ALICE, subject=subject, machine=machine)
    if welcome:
        await sessions.create(identity=identity, scope=APP)
    else:
        with pytest.raises(LoginRefused):
            await sessions.create(identity=identity, scope=APP)
