"""The loop breaker counts finished rounds, within a minute, on one host."""

from __future__ import annotations

import re
import time
from html import unescape
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.loop_detection import MAX_ROUNDS, WINDOW_SECONDS, LoopDetector
from authz_sidecar.sealing import SecretKeys
from tests.login.dishonest_provider import TamperedProvider
from tests.sessions.siblings import cookie_header_orders, similar_cookie_pairs
from tests.support.sign_in import APP as HOST
from tests.support.sign_in import AUTH, running_sign_in
from tests.support.sign_in_steps import (
    requested_nonce,
    requested_state,
    restart_link,
    sign_in,
    start_url,
)

if TYPE_CHECKING:
    from tests.servers.hostile_provider import HostileProvider
    from tests.servers.providers import RunningProvider

APP = parse_origin("https://app.example.com")
ADMIN = parse_origin("https://admin.example.com")
LOOP = LoopDetector(keys=SecretKeys([b"k" * 32]), base_name="authz")
NOW = 1_800_000_000.0


def line_after(rounds: int, *, every: float = 1.0) -> str:
    line = ""
    for number in range(rounds):
        cookie = LOOP.count_round([line], origin=APP, now=NOW + number * every)
        line = cookie.partition(";")[0]
    return line


def test_it_trips_after_three_rounds() -> None:
    trips = [
        LOOP.is_looping([line_after(n)], origin=APP, now=NOW + 5) for n in range(MAX_ROUNDS + 2)
    ]
    assert trips == [False, False, False, True, True]


def test_it_forgets_after_a_minute() -> None:
    line = line_after(MAX_ROUNDS)
    assert not LOOP.is_looping([line], origin=APP, now=NOW + WINDOW_SECONDS)
    slow = line_after(10, every=WINDOW_SECONDS / 2)
    assert not LOOP.is_looping([slow], origin=APP, now=NOW + 9 * WINDOW_SECONDS / 2)


@pytest.mark.parametrize("line", ["", "__Host-authz-loop=x", "__Host-authz-loop=", "authz-loop=1"])
def test_a_spoilt_counter_is_none(line: str) -> None:
    assert not LOOP.is_looping([line], origin=APP, now=NOW)


COUNTED = line_after(MAX_ROUNDS)


@given(similar_cookie_pairs(COUNTED.partition("=")[0]))
def test_a_cookie_of_a_sibling_host_is_another_one(look_alike: str) -> None:
    for lines in cookie_header_orders(COUNTED, look_alike):
        assert LOOP.is_looping(lines, origin=APP, now=NOW)
    assert not LOOP.is_looping([look_alike], origin=APP, now=NOW)


def test_a_counter_belongs_to_its_host() -> None:
    line = line_after(MAX_ROUNDS)
    assert not LOOP.is_looping([line], origin=ADMIN, now=NOW)
    assert not LOOP.is_looping([line, line], origin=APP, now=NOW)


# What a sign-in that leads nowhere ends with: a page that names the likely cause


async def test_a_browser_that_refuses_cookies(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(HOST, "/"))
        browser.client.cookies.clear()
        lost = await browser.follow(asked, user="alice")
        assert lost.status_code == 400
        assert "sent no cookies at all" in lost.text
        assert "attempt=2" in restart_link(lost)


async def test_a_browser_that_refuses_cookies_of_the_app_alone(
    mock_provider: RunningProvider,
) -> None:
    """With a central host the sign-in itself succeeds; the ticket finds nobody who asked for it."""
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        asked = await browser.get(start_url(HOST, "/"))
        browser.client.cookies.clear()
        lost = await browser.follow(asked, user="alice")
        assert str(lost.request.url).startswith(f"{HOST}/.auth/handover")
        assert lost.status_code == 400
        assert "sent no cookies at all" in lost.text


@pytest.mark.parametrize(
    ("lost", "cause"),
    [
        pytest.param("cookie", "configured for another name", id="the browser loses the cookie"),
        pytest.param("session", "without a common session store", id="the store loses the session"),
        pytest.param("nothing", "does not pass cookies to", id="nobody loses anything"),
    ],
)
async def test_a_circle_of_sign_ins(mock_provider: RunningProvider, lost: str, cause: str) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        for _ in range(MAX_ROUNDS):
            await sign_in(browser, HOST)
            session = await fixture.find_session(browser, HOST)
            if lost == "cookie":
                browser.client.cookies.delete("__Host-authz", domain="app.example.com", path="/")
            elif lost == "session" and session is not None:
                await fixture.context.sessions.end(session)
        tired = await browser.get(start_url(HOST, "/"))
        assert tired.status_code == 400
        assert "location" not in tired.headers
        [first, *_] = causes_of(tired.text)
        assert cause in first


async def test_a_circle_without_any_cookie(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        tired = await browser.get(start_url(HOST, "/", attempt=str(MAX_ROUNDS + 1)))
        assert tired.status_code == 400
        [first, *_] = causes_of(tired.text)
        assert "does not keep this site" in first


async def test_clocks_that_disagree(hostile_provider: HostileProvider) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(HOST, "/"))
        nonce, now = await requested_nonce(asked), int(time.time())
        for times in ({"iat": now + 900, "exp": now + 1800}, {"iat": now - 1800, "exp": now - 900}):
            tampered_provider.set_token_response(
                id_token=tampered_provider.id_token(nonce=nonce, **times)
            )
            url = f"{HOST}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
            refused = await browser.get(url)
            assert refused.status_code == 403
            assert "clock" in refused.text.lower()
            asked = await browser.get(start_url(HOST, "/"))
            nonce = await requested_nonce(asked)


async def test_a_central_host_that_arrives_under_another_name(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        sent = (await browser.get(start_url(HOST, "/"))).headers["location"]
        assert sent.startswith(AUTH)
        wrong = await browser.get(sent.replace(AUTH, HOST))
        assert wrong.status_code == 400
        assert "server.auth_host" in wrong.text
        assert AUTH in wrong.text


async def test_a_central_host_with_other_secrets(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer) as one,
        running_sign_in(mock_provider.issuer, keys=SecretKeys([b"o" * 32])) as other,
        one.browser() as browser,
        other.browser() as elsewhere,
    ):
        sent = (await browser.get(start_url(HOST, "/"))).headers["location"]
        wrong = await elsewhere.get(sent)
        assert wrong.status_code == 400
        assert "secret_keys" in wrong.text


def causes_of(html: str) -> list[str]:
    return [unescape(cause) for cause in re.findall(r"<li>(.*?)</li>", html)]
