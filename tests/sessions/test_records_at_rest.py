"""What lies in the store: opaque to whoever copies it, small, and gone in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.types import Identity
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import codec
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.records import ProviderTokens
from tests.sessions.conftest import (
    ALICE,
    APP,
    AUTH,
    HOUR,
    OLD,
    Clock,
    StoreFixture,
    create_child,
    is_active,
    sign_in,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.redis import RedisServer

TYPICAL = Identity(
    provider="corp",
    issuer="https://login.example.com/realms/employees",
    subject="2f0c7a34-8a0e-4c6a-9a53-1d6b1e9d9c7f",
    email="alexandra.montgomery@engineering.example.com",
    name="Alexandra Montgomery-Fitzgerald",
    groups=("engineering", "platform-oncall", "grafana-editors", "wiki-admins", "all-employees"),
    claims={
        "sub": "2f0c7a34-8a0e-4c6a-9a53-1d6b1e9d9c7f",
        "email": "alexandra.montgomery@engineering.example.com",
        "email_verified": True,
        "name": "Alexandra Montgomery-Fitzgerald",
        "given_name": "Alexandra",
        "family_name": "Montgomery-Fitzgerald",
        "preferred_username": "amontgomery",
        "locale": "en-GB",
        "zoneinfo": "Europe/London",
        "picture": "https://cdn.example.com/avatars/2f0c7a348a0e4c6a9a53.jpg",
        "updated_at": 1790000000,
        "department": "Platform Engineering",
        "groups": [
            "engineering",
            "platform-oncall",
            "grafana-editors",
            "wiki-admins",
            "all-employees",
        ],
    },
    authenticated_at=1799999990.0,
    acr="urn:example:loa:2",
    amr=("pwd", "otp"),
)


@pytest.fixture
async def redis_store_fixture(redis_server: RedisServer) -> AsyncIterator[StoreFixture]:
    redis_server.flush()
    store = open_store(redis_server.url)
    yield StoreFixture(store, Clock())
    await store.aclose()


def dump(server: RedisServer) -> dict[str, bytes]:
    """Every key with everything under it."""

    def value(key: str) -> bytes:
        if server.command("TYPE", key) == b"zset":
            return b" ".join(server.command("ZRANGE", key, 0, -1))
        return bytes(server.command("GET", key))

    return {key: value(key) for key in server.all_keys()}


async def test_a_copy_of_the_store_shows_nothing(
    redis_store_fixture: StoreFixture, redis_server: RedisServer
) -> None:
    sessions = redis_store_fixture.sessions()
    tokens = ProviderTokens(id_token="the-id-token", refresh_token="the-refresh-token")
    token, parent = await sign_in(
        sessions, identity=TYPICAL, tokens=tokens, client="192.0.2.77", user_agent="Browser/9.9"
    )
    app_token, _ = await create_child(sessions, parent)
    ticket = await sessions.one_time.issue_ticket(b"the-ticket-payload")
    await sessions.one_time.mark_used("the-state", ttl=60)
    await sessions.one_time.count("the-network", window=60)
    await sessions.end_user(provider="corp", issuer=TYPICAL.issuer, subject="the-other-user")
    held = dump(redis_server)
    everything = b"\n".join([*(key.encode() for key in held), *held.values()]).lower()
    for secret in (
        *(token, app_token, ticket, "the-", "alexandra", "example.com", "2f0c7a34", "corp"),
        *("engineering", "192.0.2.77", "browser", "sid-1", "sign-in"),
    ):
        assert secret.lower().encode() not in everything, secret
    assert {key[:5] for key in held} == {
        *("az:s:", "az:m:", "az:t:", "az:l:", "az:u:", "az:p:", "az:r:", "az:x:", "az:o:", "az:c:"),
        "az:w:",
    }


async def test_the_servers_key_alone_opens_no_identity(
    redis_store_fixture: StoreFixture, redis_server: RedisServer
) -> None:
    tokens = ProviderTokens(id_token="the-id-token")
    _, session = await sign_in(redis_store_fixture.sessions(), tokens=tokens)
    held, keys = dump(redis_server), SecretKeys([OLD])
    for name, purpose in (("s", "session"), ("t", "provider tokens")):
        sealed = held[f"az:{name}:{{{session.public_id}}}"]
        assert keys.open(purpose, sealed) is None
        assert keys.open(purpose, sealed, extra_secret=session.public_id.encode()) is None
    listing = keys.open(
        "session listing",
        held[f"az:m:{{{session.public_id}}}"],
        associated_data=session.public_id.encode(),
    )
    assert listing is not None
    assert codec.decode_listing(listing, public_id=session.public_id) is not None


async def test_a_typical_session_takes_less_than_a_kilobyte(
    redis_store_fixture: StoreFixture, redis_server: RedisServer
) -> None:
    await sign_in(
        redis_store_fixture.sessions(), identity=TYPICAL, scope="https://grafana.example.com"
    )
    sizes = {
        key[:4]: redis_server.command("MEMORY", "USAGE", key)
        for key in redis_server.all_keys()
        if key[:4] in ("az:s", "az:l", "az:u", "az:p")
    }
    assert len(sizes) == 4
    assert sum(sizes.values()) < 1024, sizes


async def test_a_child_adds_little_to_the_indexes(
    redis_store_fixture: StoreFixture, redis_server: RedisServer
) -> None:
    sessions = redis_store_fixture.sessions()
    _, parent = await sign_in(sessions, identity=TYPICAL)
    before = sum(
        redis_server.command("MEMORY", "USAGE", key)
        for key in redis_server.all_keys()
        if key[3] in "up"
    )
    for _ in range(4):
        await create_child(sessions, parent)
    after = sum(
        redis_server.command("MEMORY", "USAGE", key)
        for key in redis_server.all_keys()
        if key[3] in "up"
    )
    assert (after - before) / 4 < 160


async def test_records_expire_with_the_session_and_use_never_prolongs_them(
    redis_store_fixture: StoreFixture, redis_server: RedisServer
) -> None:
    sessions = redis_store_fixture.sessions()
    token, session = await sign_in(sessions, tokens=ProviderTokens(id_token="i"))

    def seconds() -> dict[str, float]:
        return {
            key[:4]: redis_server.command("PTTL", key) / 1000 for key in redis_server.all_keys()
        }

    whole = pytest.approx(10 * HOUR, abs=5)
    idle = pytest.approx(HOUR, abs=5)
    expected: dict[str, Any] = dict.fromkeys(("az:m", "az:p", "az:s", "az:t", "az:u"), whole)
    assert seconds() == expected | {"az:l": idle}
    before = dump(redis_server)
    redis_store_fixture.clock.now = session.expires_at - 60
    last_use = f"az:l:{{{session.public_id}}}"
    redis_server.command("SET", last_use, int((redis_store_fixture.clock.now - HOUR / 2) * 1000))
    assert await is_active(sessions, token)
    after = dump(redis_server)
    assert before.pop(last_use) != after.pop(last_use)
    assert after == before
    assert seconds() == expected | {"az:l": pytest.approx(60, abs=5)}


async def test_an_index_lives_as_long_as_its_last_member(
    redis_store_fixture: StoreFixture, redis_server: RedisServer
) -> None:
    sessions = redis_store_fixture.sessions()
    for lifetime in (HOUR, 5 * HOUR, 60.0):
        await sign_in(sessions, provider_session=None, lifetime=lifetime)
    (index,) = (key for key in redis_server.all_keys() if key.startswith("az:u:"))
    assert redis_server.command("PTTL", index) / 1000 == pytest.approx(5 * HOUR, abs=5)


async def test_last_use_is_written_once_per_tenth_of_the_idle_timeout(
    redis_store_fixture: StoreFixture, redis_server: RedisServer
) -> None:
    sessions = redis_store_fixture.sessions()
    token, parent = await sign_in(sessions)
    app_token, _ = await create_child(sessions, parent)

    def writes() -> int:
        info = redis_server.command("INFO", "commandstats")
        return int(info["cmdstat_set"]["calls"])

    start = writes()
    for _ in range(30):
        redis_store_fixture.clock.now += HOUR / 300
        assert await is_active(sessions, token)
        assert await is_active(sessions, app_token, APP)
    assert writes() - start == 1


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x01" + b"A" * 200, id="noise"),
        pytest.param(None, id="another session's record"),
    ],
)
async def test_a_damaged_record_is_no_session(
    redis_store_fixture: StoreFixture, redis_server: RedisServer, damage: bytes | None
) -> None:
    sessions = redis_store_fixture.sessions()
    token, session = await sign_in(sessions)
    _, other = await sign_in(sessions)
    for name in "smt":
        key = f"az:{name}:{{{session.public_id}}}"
        from_other = redis_server.command("GET", f"az:{name}:{{{other.public_id}}}") or b"x"
        redis_server.command("SET", key, from_other if damage is None else damage)
    assert not await is_active(sessions, token)
    assert await sessions.provider_tokens(token) is None
    user: Any = {"provider": "corp", "issuer": ALICE.issuer, "subject": "alice"}
    assert [each.handle for each in await sessions.list_for_user(**user)] == [other.public_id]


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"1e9", b"\xff"])
async def test_a_damaged_last_use_is_no_session(
    redis_store_fixture: StoreFixture, redis_server: RedisServer, value: bytes
) -> None:
    sessions = redis_store_fixture.sessions()
    token, session = await sign_in(sessions, scope=AUTH)
    redis_server.command("SET", f"az:l:{{{session.public_id}}}", value)
    assert not await is_active(sessions, token)
