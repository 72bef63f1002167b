"""What a proxy may repeat, and what it has to ask about each time; the lane says the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.adapters.requests import REQUEST_BUILDERS, ClientRequest
from tests.routes.settings import RouteSpec
from tests.support.authorizer import (
    ALICE,
    APP,
    NAMES,
    NOW,
    AuthorizerFixture,
    build_authorizer,
    header,
)
from tests.support.fast_path import build_comparison, running_listeners, serialize_request

SECONDS = 5
LIFETIME = 3600


def allowing(criterion: object) -> RouteSpec:
    signed_in = {"email": {"is": "alice@example.com"}}
    return RouteSpec(name="app", policy={"allow": {"and": [signed_in, criterion]}})


def home(*routes: RouteSpec, seconds: int = SECONDS) -> AuthorizerFixture:
    return build_authorizer(
        *(routes or (RouteSpec(name="app", allow_any_authenticated_user=True),)),
        nginx_cache=seconds,
    )


async def lifetime(
    fixture: AuthorizerFixture, *headers: tuple[str, str], by: str = "nginx"
) -> str | None:
    alice = await fixture.sign_in(ALICE)
    reply = await fixture.check(f"{APP}/page?tab=1", alice, *headers, adapter=by)
    assert reply.status == (403 if by == "nginx-challenge" else 200)
    return header(reply, "x-accel-expires")


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param(RouteSpec(name="app", allow_any_authenticated_user=True), "5", id="anybody"),
        pytest.param(allowing({"groups": {"has": "eng"}}), "5", id="who somebody is"),
        pytest.param(allowing({"http_path": {"is": "/page"}}), "5", id="path"),
        pytest.param(allowing({"http_method": {"is": "GET"}}), "5", id="method"),
        pytest.param(allowing({"query/tab": {"is": "1"}}), "5", id="query"),
        pytest.param(allowing({"source_ip": "203.0.113.0/24"}), "5", id="address"),
        pytest.param(allowing({"http_header/accept": {"is": "*/*"}}), None, id="header"),
        pytest.param(allowing({"date": {"after": "2020-01-01"}}), None, id="time"),
        pytest.param(
            RouteSpec(name="app", allow_public_unauthenticated_access=True), "5", id="public"
        ),
    ],
)
async def test_only_what_is_compared_may_be_repeated(
    route: RouteSpec, expected: str | None
) -> None:
    assert await lifetime(home(route), ("accept", "*/*")) == expected


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        pytest.param({"source_ip": "203.0.113.0/24"}, None, id="address"),
        pytest.param({"http_path": {"is": "/page"}}, "5", id="path"),
    ],
)
async def test_behind_others_nginx_compares_their_address_and_not_the_client_s(
    criterion: object, expected: str | None
) -> None:
    there = build_authorizer(allowing(criterion), nginx_cache=SECONDS, hops=True)
    assert await lifetime(there) == expected


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(("authorization", "Basic eDp5"), id="credentials"),
        pytest.param(("sec-websocket-key", "x"), id="WebSocket"),
    ],
)
async def test_who_is_judged_by_more_is_asked_about_each_time(line: tuple[str, str]) -> None:
    assert await lifetime(home(), line) is None


@pytest.mark.parametrize("by", sorted({*NAMES} - {"nginx"}))
async def test_no_other_proxy_is_told(by: str) -> None:
    assert await lifetime(home(), by=by) is None


async def test_it_is_off_unless_it_is_on() -> None:
    assert await lifetime(home(seconds=0)) is None


async def used_until(there: AuthorizerFixture, now: float, session: tuple[str, str]) -> None:
    """Now and then, so that it does not fall idle."""
    while there.now[0] < now:
        there.now[0] = min(now, there.now[0] + 300)
        await there.check(f"{APP}/", session)


async def test_nothing_outlives_its_session() -> None:
    there = home()
    alice = await there.sign_in(ALICE)
    for now, expected in (
        (NOW + LIFETIME - SECONDS - 2, "5"),
        (NOW + LIFETIME - SECONDS - 1, None),
        (NOW + LIFETIME - 1, None),
    ):
        await used_until(there, now, alice)
        reply = await there.check(f"{APP}/", alice, adapter="nginx")
        assert (reply.status, header(reply, "x-accel-expires")) == (200, expected)


@pytest.mark.parametrize("seconds", [0, SECONDS])
async def test_the_lane_says_the_same_to_the_end(seconds: int) -> None:
    async with running_listeners(build_comparison(home(seconds=seconds))) as comparison:
        alice = await comparison.sign_in(ALICE)
        question = serialize_request(REQUEST_BUILDERS["nginx"](ClientRequest(headers=(alice,))))
        for before_the_end in (LIFETIME, SECONDS + 1.5, SECONDS + 1, SECONDS, 1):
            await used_until(comparison.fixture, NOW + LIFETIME - before_the_end, alice)
            for _ in range(2):
                compared = await comparison.compare(question)
                expected = bool(seconds) and before_the_end > SECONDS + 1
                assert (b"x-accel-expires: 5" in compared.response) == expected
                assert (compared.status, compared.from_fast_path) == (200, True)


async def test_refusals_are_never_repeated() -> None:
    there = home(allowing({"groups": {"has": "nobody"}}))
    alice = await there.sign_in(replace(ALICE, email="bob@example.com"))
    for lines in ((alice,), ()):
        reply = await there.check(f"{APP}/", *lines, adapter="nginx")
        assert reply.status in {401, 403}
        assert header(reply, "x-accel-expires") is None
        assert header(reply, "cache-control") == "no-store"
