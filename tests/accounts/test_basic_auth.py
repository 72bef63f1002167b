"""HTTP Basic at the gate: who passes, how often one may guess, and how often is hashed."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from authz_sidecar.accounts.basic_auth import (
    MAX_PENDING_VERIFICATIONS,
    NETWORK_FACTOR,
    BasicAuthenticator,
    PasswordRateLimiter,
    parse_basic_credentials,
)
from authz_sidecar.accounts.htpasswd import PasswordFile
from authz_sidecar.errors import RateLimited
from authz_sidecar.rate_limit import RateLimit, RateLimiter
from authz_sidecar.sealing import KeyedHash, SecretKeys
from authz_sidecar.sessions import MemoryStore, SessionService
from authz_sidecar.sessions.factory import open_store
from tests.routes.settings import RouteSpec
from tests.servers.redis import RedisServer, redis_server
from tests.support.authorizer import (
    APP,
    HTML,
    JSON,
    NAVIGATION,
    AuthorizerFixture,
    build_authorizer,
    header,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions import SessionStore

__all__ = ["redis_server"]

USERS = PasswordFile(
    {
        name: bcrypt.hashpw(f"password of {name}".encode(), bcrypt.gensalt(4)).decode()
        for name in ("alice", "bob")
    }
)
BASIC = RouteSpec(name="legacy", allow_any_authenticated_user=True, basic_auth=True)
ENGINEERS = RouteSpec(
    name="eng",
    prefix="/eng",
    basic_auth=True,
    policy={"allow": {"or": [{"groups": {"has": "eng"}}]}},
)
NOT_HERE = RouteSpec(name="modern", prefix="/modern", allow_any_authenticated_user=True)
WINDOW = 6000.0 * 60


@dataclass
class Hashing:
    """Counts what is hashed, off the event loop as in production."""

    hashed: list[str] = field(default_factory=list)
    most: int = 0
    running: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, slow: Callable[[str, bytes], bool], user: str, password: bytes) -> bool:
        self.hashed.append(user)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.gate.wait()
        self.running -= 1
        return await asyncio.to_thread(slow, user, password)


@dataclass
class Place:
    at: AuthorizerFixture
    hashing: Hashing
    now: list[float]
    throttled: list[None]

    async def status(self, user: str, password: str, *more: Any, **how: Any) -> int:
        path = how.pop("path", "/")
        reply = await self.at.check(f"{APP}{path}", basic(user, password), *more, **how)
        return reply.status


def place(*, store: SessionStore | None = None, guesses: int = 3) -> Place:
    hashing, now, throttled = Hashing(), [WINDOW], list[None]()
    hashing.gate.set()
    counting = SessionService(
        store=store or MemoryStore(clock=lambda: now[0]),
        secret_keys=SecretKeys([b"k" * 32]),
        lifetime=60,
        idle_timeout=60,
        clock=lambda: now[0],
    )
    passwords = BasicAuthenticator(
        USERS,
        realm="legacy clients",
        groups={"eng": ("alice",)},
        limiter=PasswordRateLimiter(
            RateLimiter(
                counting.one_time, limits=RateLimit(requests=guesses), clock=lambda: now[0]
            ),
            bucket_hash=KeyedHash(b"g" * 32),
            on_rate_limited=lambda: throttled.append(None),
        ),
        key=b"p" * 32,
        run_in_thread=hashing.run,
    )
    fixture = build_authorizer(BASIC, ENGINEERS, NOT_HERE, authenticators=(passwords,))
    return Place(fixture, hashing, now, throttled)


def basic(user: str, password: str) -> tuple[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return "authorization", f"Basic {pair}"


ALICES = ("alice", "password of alice")
BOBS = ("bob", "password of bob")


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        pytest.param(ALICES, "/", 200, id="right"),
        pytest.param(("alice", "password of bob"), "/", 401, id="another's"),
        pytest.param(("Alice", "password of alice"), "/", 401, id="another case"),
        pytest.param(("carol", "password of alice"), "/", 401, id="nobody"),
        pytest.param(ALICES, "/eng", 200, id="by group"),
        pytest.param(BOBS, "/eng", 403, id="without the group"),
        pytest.param(ALICES, "/modern", 401, id="where the route does not take it"),
    ],
)
async def test_who_passes(who: tuple[str, str], path: str, status: int) -> None:
    assert await place().status(*who, JSON, path=path) == status


async def test_the_app_hears_who_it_is() -> None:
    here = place()
    reply = await here.at.check(f"{APP}/", basic(*ALICES))
    assert header(reply, "x-auth-user") == "htpasswd/alice"
    assert here.at.record.credential == "password"


@pytest.mark.parametrize(
    "headers", [(), (JSON,), (*NAVIGATION, HTML)], ids=["plain", "json", "page"]
)
async def test_a_wrong_password_asks_for_another(headers: tuple[tuple[str, str], ...]) -> None:
    reply = await place().at.check(f"{APP}/", basic("alice", "x"), *headers)
    assert reply.status == 401
    assert header(reply, "www-authenticate") == 'Basic realm="legacy clients", charset="UTF-8"'
    assert header(reply, "location") is None


async def test_a_browser_without_a_password_still_signs_in() -> None:
    assert (await place().at.check(f"{APP}/", *NAVIGATION)).status == 302


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("!", id="not base64"),
        pytest.param(base64.b64encode(b"alice").decode(), id="no colon"),
        pytest.param(base64.b64encode(b":x").decode(), id="no user"),
        pytest.param(base64.b64encode(b"a\x00:x").decode(), id="a null"),
        pytest.param(base64.b64encode(b"a:\n").decode(), id="a line end"),
        pytest.param(base64.b64encode(b"\xff:x").decode(), id="not UTF-8"),
        pytest.param(base64.b64encode(b"a:" + b"x" * 2000).decode(), id="long"),
        pytest.param(f"{base64.b64encode(b'a:x').decode()} ", id="a space behind"),
    ],
)
async def test_what_cannot_be_read_is_refused_unhashed(text: str) -> None:
    assert parse_basic_credentials(text) is None
    here = place()
    assert (await here.at.check(f"{APP}/", ("authorization", f"Basic {text}"))).status == 401
    assert here.hashing.hashed == []


def test_a_password_may_have_colons_and_be_empty() -> None:
    for pair in ("a::b:", "a:"):
        read = parse_basic_credentials(base64.b64encode(pair.encode()).decode())
        assert read == ("a", pair.partition(":")[2].encode())


async def test_a_client_that_always_sends_its_password_is_hashed_once() -> None:
    here = place(guesses=1)
    assert [await here.status(*ALICES) for _ in range(5)] == [200] * 5
    assert here.hashing.hashed == ["alice"]


async def test_many_requests_at_once_are_hashed_once() -> None:
    here = place(guesses=1)
    here.hashing.gate.clear()
    asked = [asyncio.create_task(here.status(*ALICES)) for _ in range(20)]
    await asyncio.sleep(0)
    here.hashing.gate.set()
    assert await asyncio.gather(*asked) == [200] * 20
    assert here.hashing.hashed == ["alice"]


async def test_few_are_hashed_at_a_time_and_few_wait() -> None:
    here = place(guesses=1000)
    here.hashing.gate.clear()
    asked = [
        asyncio.create_task(here.status("alice", f"guess {n}", client=f"192.0.2.{n}"))
        for n in range(MAX_PENDING_VERIFICATIONS + 5)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(task.done() for task in asked) == 5
    here.hashing.gate.set()
    statuses = await asyncio.gather(*asked)
    assert (statuses.count(401), statuses.count(429)) == (MAX_PENDING_VERIFICATIONS, 5)
    assert here.hashing.most == 2


async def test_whoever_goes_away_takes_nobody_along() -> None:
    here = place()
    here.hashing.gate.clear()
    goes, stays = (asyncio.create_task(here.status(*ALICES)) for _ in range(2))
    await asyncio.sleep(0)
    goes.cancel()
    here.hashing.gate.set()
    assert await stays == 200


async def test_guesses_at_an_account_end_for_this_network_only() -> None:
    here = place()
    guesses = [await here.status("alice", f"guess {n}") for n in range(5)]
    assert guesses == [401, 401, 401, 429, 429]
    assert len(here.hashing.hashed) == 3
    assert len(here.throttled) == 2
    assert await here.status(*ALICES) == 429
    assert await here.status(*ALICES, client="198.51.100.9") == 200
    here.now[0] += 60
    assert await here.status(*ALICES) == 200


async def test_who_was_verified_before_is_not_locked_out_by_guesses_beside_them() -> None:
    here = place()
    assert await here.status(*ALICES) == 200
    for n in range(5):
        await here.status("alice", f"guess {n}")
    assert await here.status(*ALICES) == 200


async def test_guesses_at_many_accounts_end_too() -> None:
    here = place(guesses=2)
    statuses = [await here.status(f"user{n}", "guess") for n in range(200)]
    assert 401 in statuses
    assert statuses.count(401) <= 2 * NETWORK_FACTOR
    assert set(statuses[-50:]) == {429}


async def test_accounts_that_do_not_exist_are_counted_alike() -> None:
    for user in ("alice", "nobody"):
        here = place()
        statuses = [await here.status(user, f"guess {n}") for n in range(4)]
        assert statuses == [401, 401, 401, 429]


async def test_a_throttled_guess_says_when_to_come_back() -> None:
    here = place(guesses=1)
    here.now[0] += 45
    await here.status("alice", "one")
    reply = await here.at.check(f"{APP}/", basic("alice", "two"))
    assert (reply.status, header(reply, "retry-after")) == (429, "15")


async def test_what_nginx_asks_twice_is_guessed_once() -> None:
    here = place(guesses=1)
    wrong = basic("alice", "wrong")
    first = await here.at.check(f"{APP}/", wrong, adapter="nginx")
    words = await here.at.check(f"{APP}/", wrong, adapter="nginx-challenge")
    assert (first.status, words.status) == (401, 401)
    assert (header(words, "www-authenticate") or "").startswith("Basic ")
    assert here.hashing.hashed == ["alice"]
    again = await here.at.check(f"{APP}/", basic("alice", "other"), adapter="nginx")
    words = await here.at.check(f"{APP}/", basic("alice", "other"), adapter="nginx-challenge")
    assert (again.status, header(again, "x-authz-reason")) == (403, "throttled")
    assert words.status == 429


async def test_replicas_count_guesses_together(redis_server: RedisServer) -> None:
    redis_server.flush()
    stores = [open_store(redis_server.url) for _ in range(2)]
    one, other = (place(store=store, guesses=2) for store in stores)
    statuses = [await here.status("alice", "x") for here in (one, other, one, other)]
    assert statuses == [401, 401, 429, 429]
    for store in stores:
        await store.aclose()


async def test_names_are_no_way_to_fill_the_store() -> None:
    counted: set[str] = set()

    class Counting:
        async def count(self, key: str, *, window: float) -> int:
            del window
            counted.add(key)
            return 1

    limits = PasswordRateLimiter(
        RateLimiter(Counting(), limits=RateLimit(), clock=lambda: WINDOW),
        bucket_hash=KeyedHash(b"g" * 32),
        on_rate_limited=lambda: None,
    )
    for n in range(500):
        await limits.count_attempt(f"user{n}", ip_address("192.0.2.1"))
    assert len(counted) == 17


async def test_a_check_counts_nothing() -> None:
    counting = SessionService(
        store=MemoryStore(), secret_keys=SecretKeys([b"k" * 32]), lifetime=60, idle_timeout=60
    )
    limits = PasswordRateLimiter(
        RateLimiter(counting.one_time, limits=RateLimit(requests=1), clock=lambda: WINDOW),
        bucket_hash=KeyedHash(b"g" * 32),
        on_rate_limited=lambda: None,
    )
    for _ in range(3):
        limits.check("alice", None)
    for _ in range(10):  # all unknown addresses together may have more
        await limits.count_attempt("alice", None)
    with pytest.raises(RateLimited):
        await limits.count_attempt("alice", None)
    with pytest.raises(RateLimited):
        limits.check("alice", None)
