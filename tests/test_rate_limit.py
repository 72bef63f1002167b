"""Throttling: who is counted together, who has to wait and how long, and what a flood leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from authz_sidecar.errors import RateLimited, StoreUnavailable
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.rate_limit import MAX_TRACKED_NETWORKS, RateLimit, RateLimiter
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService
from authz_sidecar.sessions.factory import open_store
from tests.servers.redis import RedisServer, redis_server
from tests.support.sign_in import APP, SignInFixture, running_sign_in

__all__ = ["redis_server"]

NOBODY = "http://localhost:9"
AN_HOUR = 6_000.0 * 60
"""A time at which a window begins."""


@dataclass
class Counts:
    """A store that may be away."""

    away: bool = False
    asked: int = 0
    held: dict[str, int] = field(default_factory=dict)

    async def count(self, key: str, *, window: float) -> int:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away")
        self.held[key] = self.held.get(key, 0) + 1
        return self.held[key]


@dataclass
class Clock:
    now: float = AN_HOUR

    def __call__(self) -> float:
        return self.now


def throttle(counts: Counts, clock: Clock, **limits: Any) -> RateLimiter:
    return RateLimiter(counts, limits=RateLimit(**{"requests": 3, **limits}), clock=clock)


async def admitted(what: RateLimiter, *addresses: str) -> list[bool]:
    passed = []
    for address in addresses:
        try:
            await what.admit(ip_address(address) if address else None)
        except RateLimited:
            passed.append(False)
        else:
            passed.append(True)
    return passed


@pytest.mark.parametrize(
    ("others", "passes"),
    [
        pytest.param("192.0.2.1", False, id="the same address"),
        pytest.param("::ffff:192.0.2.1", False, id="the same address, mapped"),
        pytest.param("192.0.2.2", True, id="a neighbour"),
        pytest.param("", True, id="nobody knows whose"),
    ],
)
async def test_an_address_is_counted_alone(others: str, *, passes: bool) -> None:
    what = throttle(Counts(), Clock())
    assert await admitted(what, *["192.0.2.1"] * 3, others) == [True, True, True, passes]


@pytest.mark.parametrize(
    ("last", "passes"),
    [
        pytest.param("2001:db8::ffff:1", False, id="the same 64 bits"),
        pytest.param("2001:db8:0:1::1", True, id="the next network"),
    ],
)
async def test_a_network_of_64_bits_is_counted_together(last: str, *, passes: bool) -> None:
    what = throttle(Counts(), Clock())
    assert (await admitted(what, "2001:db8::1", "2001:db8::2", "2001:db8::3", last))[-1] is passes


async def test_unknown_addresses_share_a_counter() -> None:
    passed = await admitted(throttle(Counts(), Clock()), *[""] * 31)
    assert passed == [True] * 30 + [False], "ten times as many as one network"


async def test_exempt_networks_are_not_counted() -> None:
    counts = Counts()
    exempt = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    what = throttle(counts, Clock(), exempt=exempt)
    assert all(await admitted(what, *["192.0.2.1", "::ffff:192.0.2.9", "2001:db8::1"] * 5))
    assert counts.asked == 0


@pytest.mark.parametrize("into", [0.0, 12.5, 59.9])
async def test_the_wait_ends_with_the_window(into: float) -> None:
    clock = Clock(AN_HOUR + into)
    what = throttle(Counts(), clock)
    await admitted(what, *["192.0.2.1"] * 3)
    with pytest.raises(RateLimited) as caught:
        await what.admit(ip_address("192.0.2.1"))
    assert caught.value.retry_after == max(1, -int(-(60 - into) // 1))
    clock.now += caught.value.retry_after
    assert await admitted(what, "192.0.2.1") == [True]


async def test_a_flood_is_one_counter_and_soon_no_question() -> None:
    counts = Counts()
    what = throttle(counts, Clock())
    await admitted(what, *["192.0.2.1"] * 500)
    assert (len(counts.held), counts.asked) == (1, 4)


async def test_the_process_counts_while_the_store_is_away() -> None:
    counts, clock = Counts(away=True), Clock()
    what = throttle(counts, clock)
    assert await admitted(what, *["192.0.2.1"] * 4) == [True, True, True, False]
    assert counts.asked == 1, "nobody waits for a store that was away a moment ago"
    counts.away = False
    clock.now += 3
    assert await admitted(what, "192.0.2.2") == [True]
    assert counts.held


async def test_memory_is_bounded_while_the_store_is_away() -> None:
    what = throttle(Counts(away=True), Clock(), requests=1)
    for number in range(MAX_TRACKED_NETWORKS * 2):
        await what.admit(ip_address(0x0A000000 + number))
    assert len(what._local_counts) <= MAX_TRACKED_NETWORKS
    assert await admitted(what, "10.0.0.0") == [True], "the oldest made room"


async def test_workers_count_together(redis_server: RedisServer) -> None:
    store = open_store(redis_server.url)
    sessions = SessionService(
        store=store, secret_keys=SecretKeys([b"k" * 32]), lifetime=60, idle_timeout=60
    )
    limits, clock = RateLimit(requests=4), Clock()
    left, right = (RateLimiter(sessions.one_time, limits=limits, clock=clock) for _ in range(2))
    try:
        passed = [
            *await admitted(left, *["192.0.2.77"] * 3),
            *await admitted(right, *["192.0.2.77"] * 2),
            *await admitted(left, "192.0.2.77"),
        ]
    finally:
        await store.aclose()
    assert passed == [True, True, True, True, False, False]


def counted(fixture: SignInFixture, endpoint: str) -> float:
    assert isinstance(fixture.context.recorder, Metrics)
    [family] = [
        each for each in fixture.context.recorder.snapshot() if each.name == "authz_throttled"
    ]
    return sum(value for _, labels, value in family.samples if ("endpoint", endpoint) in labels)


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        pytest.param("start", "start?rd=/", id="start"),
        pytest.param("choose", "choose?rd=/", id="choose"),
        pytest.param("callback", "callback?state=x&code=y", id="callback"),
        pytest.param("callback", "callback/corp?state=x&code=y", id="callback of a provider"),
        pytest.param("handover", f"handover?ticket={'t' * 43}", id="handover"),
    ],
)
async def test_too_many_requests(endpoint: str, path: str) -> None:
    async with (
        running_sign_in(NOBODY, limits=RateLimit(requests=2)) as fixture,
        fixture.browser() as browser,
    ):
        replies = [
            await browser.get(f"{APP}/.auth/{path}", **{"x-client": "192.0.2.1"}) for _ in range(3)
        ]
        assert [reply.status_code == 429 for reply in replies] == [False, False, True]
        told = replies[-1]
        assert 1 <= int(told.headers["retry-after"]) <= 60
        assert "Too many requests" in told.text
        assert "192.0.2.1" not in told.text
        assert told.headers["cache-control"] == "no-store"
        assert counted(fixture, endpoint) == 1
        other = await browser.get(f"{APP}/.auth/{path}", **{"x-client": "192.0.2.2"})
        assert other.status_code != 429


async def test_pages_that_cost_nothing_are_not_throttled() -> None:
    async with (
        running_sign_in(NOBODY, limits=RateLimit(requests=1)) as fixture,
        fixture.browser() as browser,
    ):
        for page in ("", "userinfo", "signed_out", "sign_out"):
            for _ in range(3):
                reply = await browser.get(f"{APP}/.auth/{page}", **{"x-client": "192.0.2.1"})
                assert reply.status_code != 429, page


async def test_a_flood_of_starts_leaves_one_counter() -> None:
    async with (
        running_sign_in(NOBODY, limits=RateLimit(requests=20)) as fixture,
        fixture.browser() as browser,
    ):
        for number in range(60):
            await browser.get(
                f"{APP}/.auth/start?rd=/{number}&login_hint=victim", **{"x-client": "192.0.2.1"}
            )
        assert len(fixture.store) == 1
