"""The central sign-in host: one sign-in for all hosts, and tickets that nobody else can use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authz_sidecar.core.types import SessionKind
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.login_request import (
    CHOICE_PURPOSE,
    HANDOFF_PURPOSE,
    LoginIntent,
    seal_intent,
)
from tests.servers.browser import Browser, page
from tests.support.sign_in import ADMIN, APP, AUTH, WIKI, SignInFixture, running_sign_in
from tests.support.sign_in_steps import (
    DEEP_LINK,
    TWO_PROVIDERS,
    cleared_cookies,
    is_app_url,
    restart_link,
    set_cookies,
    sign_in,
    start_url,
)

if TYPE_CHECKING:
    import httpx2

    from tests.servers.providers import RunningProvider


def at_handover(url: str) -> bool:
    return "/.auth/handover" in url


async def ticket_for(browser: Browser, host: str = APP, rd: str = "/x") -> str:
    """The address with the ticket, not yet visited."""
    last = await browser.visit(start_url(host, rd), user="alice", stop=at_handover)
    return str(last.headers["location"])


def lend(browser: Browser, cookies: dict[str, str], host: str) -> None:
    for name, value in cookies.items():
        browser.client.cookies.set(name, value, domain=parse_origin(host).host)


async def test_one_sign_in_for_all_hosts(real_provider: RunningProvider) -> None:
    async with running_sign_in(real_provider.issuer) as fixture, fixture.browser() as browser:
        assert await sign_in(browser, APP, DEEP_LINK) == f"{APP}{DEEP_LINK}"
        asked = len(browser.visited)
        for host in (ADMIN, WIKI):
            assert await sign_in(browser, host, DEEP_LINK) == f"{host}{DEEP_LINK}"
        later = browser.visited[asked:]
        assert not any("localhost" in url for url in later), "a second trip to the provider"

        tokens = {}
        for host in (APP, ADMIN, WIKI):
            session = await fixture.find_session(browser, host)
            assert session is not None
            assert (session.kind, session.scope) == (SessionKind.CHILD, host)
            tokens[host] = browser.cookies(parse_origin(host).host)["__Host-authz"]
        parent = await fixture.find_session(browser, AUTH)
        assert parent is not None
        assert parent.kind is SessionKind.SIGN_IN
        assert len({*tokens.values(), browser.cookies("auth.example.com")["__Host-authz"]}) == 4


async def test_only_the_central_host_is_known_to_the_provider(
    certified_provider: RunningProvider,
) -> None:
    async with running_sign_in(certified_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, WIKI)
        asked = next(url for url in browser.visited if "/auth?" in url and "localhost" in url)
        assert parse_qs(urlsplit(asked).query)["redirect_uri"] == [f"{AUTH}/.auth/callback/corp"]


async def test_a_childs_cookie_opens_no_other_host(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        token = browser.cookies("app.example.com")["__Host-authz"]
        assert await fixture.find_session_by_token(token, parse_origin(APP)) is not None
        for other in (ADMIN, WIKI, AUTH):
            assert await fixture.find_session_by_token(token, parse_origin(other)) is None


async def test_a_return_address_on_another_host_begins_there(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        for here in (AUTH, APP):
            moved = await browser.get(start_url(here, f"{WIKI}/x?y=1", attempt="2"))
            assert moved.headers["location"].startswith(f"{WIKI}/.auth/start?rd=")
            assert "attempt=2" in moved.headers["location"]
            assert set_cookies(moved) == []
        assert await sign_in(browser, AUTH, f"{WIKI}/x?y=1") == f"{WIKI}/x?y=1"
        assert await fixture.find_session(browser, WIKI) is not None


async def test_signing_in_on_the_central_host_itself(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        last = await browser.visit(f"{AUTH}/.auth/", user="alice")
        assert last.status_code == 401
        last = await browser.visit(restart_link(last), user="alice")
        assert last.status_code == 200
        assert "alice@example.com" in last.text
        assert str(last.request.url) == f"{AUTH}/.auth/"


# Tickets


async def test_a_ticket_is_good_once(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        url = await ticket_for(browser)
        kept = dict(browser.cookies("app.example.com"))
        assert (await browser.get(url)).headers["location"] == f"{APP}/x"
        # "Back" in the same browser leads home, not into trouble.
        assert (await browser.get(url)).headers["location"] == f"{APP}/"
        async with fixture.browser() as thief:
            lend(thief, kept, APP)
            reply = await thief.get(url)
            assert reply.status_code == 400
            assert "__Host-authz" not in thief.cookies("app.example.com")


async def test_a_ticket_in_another_browser_is_refused_and_not_used_up(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        url = await ticket_for(browser)
        async with fixture.browser() as thief:
            reply = await thief.get(url)
            assert reply.status_code == 400
            assert set_cookies(reply) == []
        assert (await browser.get(url)).headers["location"] == f"{APP}/x"


async def test_a_ticket_in_a_browser_with_an_attempt_of_its_own_is_refused(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        url = await ticket_for(browser)
        async with fixture.browser() as thief:
            await thief.get(start_url(APP, "/x"))
            assert (await thief.get(url)).status_code == 400
            assert "__Host-authz" not in thief.cookies("app.example.com")


async def test_a_victim_is_not_signed_in_as_the_attacker(mock_provider: RunningProvider) -> None:
    """The attacker's ticket, or the attacker's request to the central host, in a victim's browser."""
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as attacker:
        url = await ticket_for(attacker)
        request = next(to for to in attacker.visited if f"{AUTH}/.auth/start" in to)
        async with fixture.browser() as victim:
            assert (await victim.get(url)).status_code == 400
            last = await victim.visit(request, user="alice")
            assert last.status_code == 400
            assert str(last.request.url).startswith(f"{APP}/.auth/handover")
            assert await fixture.find_session(victim, APP) is None


async def test_a_ticket_on_another_host_is_refused(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        url = await ticket_for(browser, APP)
        await browser.get(start_url(ADMIN, "/x"))
        moved = await browser.get(url.replace(APP, ADMIN))
        assert moved.status_code == 400
        assert await fixture.find_session(browser, ADMIN) is None


async def test_a_ticket_lasts_a_minute(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        url = await ticket_for(browser)
        fixture.clock.offset = 61
        late = await browser.get(url)
        assert late.status_code == 400
        assert restart_link(late).startswith(f"{APP}/.auth/start?rd=")
        assert "attempt=2" in restart_link(late)


async def test_a_ticket_of_a_sign_in_that_was_ended_is_worth_nothing(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        url = await ticket_for(browser)
        await fixture.context.sessions.end_user(
            provider="corp", issuer=mock_provider.issuer, subject="alice"
        )
        reply = await browser.get(url)
        assert reply.status_code == 400
        assert cleared_cookies(reply)
        assert await fixture.find_session(browser, APP) is None


@pytest.mark.parametrize(
    "query", ["", "?ticket=", "?ticket=x", "?ticket=a%00b", "?ticket={t}&ticket={t}"]
)
async def test_a_spoilt_ticket(mock_provider: RunningProvider, query: str) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await browser.get(start_url(APP, "/x"))
        reply = await browser.get(f"{APP}/.auth/handover{query.format(t='A' * 43)}")
        assert reply.status_code == 400


async def test_the_ticket_names_no_user_and_no_address(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        url = await ticket_for(browser, rd="/reset?token=s3cret")
        assert re.fullmatch(rf"{APP}/\.auth/handover\?ticket=[\w-]{{43}}", url)
        assert (await browser.get(url)).headers["location"] == f"{APP}/reset?token=s3cret"
        assert not any("s3cret" in to for to in browser.visited[1:])


# Requests to the central host


def sealed(fixture: SignInFixture, **changes: Any) -> str:
    given = {
        "purpose": HANDOFF_PURPOSE,
        "origin": parse_origin(AUTH),
        "expires_at": fixture.clock() + 60,
    }
    intent = LoginIntent(return_to=f"{APP}/x", flow="f" * 43)
    return seal_intent(intent, fixture.keys, **{**given, **changes})


@pytest.mark.parametrize(
    ("host", "changes"),
    [
        pytest.param(AUTH, {"purpose": CHOICE_PURPOSE}, id="sealed for another purpose"),
        pytest.param(AUTH, {"origin": parse_origin(APP)}, id="sealed for another host"),
        pytest.param(APP, {"origin": parse_origin(APP)}, id="on a host that is not central"),
        pytest.param(AUTH, {"expires_at": 1.0}, id="expired"),
    ],
)
async def test_a_request_that_is_refused(
    mock_provider: RunningProvider, host: str, changes: dict[str, Any]
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, ADMIN)
        reply = await browser.get(f"{host}/.auth/start?request={sealed(fixture, **changes)}")
        assert reply.status_code == 400
        assert set_cookies(reply) == []


@pytest.mark.parametrize("request_", ["", "x", "A" * 200, "%00"])
async def test_a_request_that_is_not_ours(mock_provider: RunningProvider, request_: str) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        reply = await browser.get(f"{AUTH}/.auth/start?request={request_}")
        assert reply.status_code == 400


async def test_without_a_central_host_nothing_is_handed_over(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        reply = await browser.get(f"{APP}/.auth/start?request={sealed(fixture)}")
        assert reply.status_code == 400
        reply = await browser.get(f"{APP}/.auth/handover?ticket={'A' * 43}")
        assert reply.status_code == 400


# Providers, accounts, strictness


async def test_a_session_of_another_provider_is_not_reused(
    mock_provider: RunningProvider,
) -> None:
    routes = ({"from": APP}, {"from": WIKI, "identity_provider": "partners"})
    async with (
        running_sign_in(
            mock_provider.issuer, providers=TWO_PROVIDERS, default_provider="corp", routes=routes
        ) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        asked = len(browser.visited)
        await sign_in(browser, WIKI)
        assert any("localhost" in url for url in browser.visited[asked:])
        assert await fixture.find_session(browser, WIKI, "partners") is not None
        assert await fixture.find_session(browser, WIKI, "corp") is None
        assert await fixture.find_session(browser, AUTH, "corp") is not None
        assert await fixture.find_session(browser, AUTH, "partners") is not None


async def test_the_chooser_is_on_the_central_host(mock_provider: RunningProvider) -> None:
    routes = ({"from": APP, "identity_provider": ["corp", "partners"]},)
    async with (
        running_sign_in(
            mock_provider.issuer, providers=TWO_PROVIDERS, default_provider="corp", routes=routes
        ) as fixture,
        fixture.browser() as browser,
    ):
        chooser = await browser.visit(start_url(APP, DEEP_LINK))
        assert str(chooser.request.url).startswith(f"{AUTH}/.auth/choose?")
        fixture.clock.offset = 120  # people take their time
        options = [link for link in page(chooser).links if "choice=" in link]
        last = await browser.visit(options[1], user="alice", stop=is_app_url)
        assert last.headers["location"] == f"{APP}{DEEP_LINK}"
        assert await fixture.find_session(browser, APP, "partners") is not None


async def test_another_account_takes_the_place_of_the_first_everywhere(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        await sign_in(browser, WIKI)
        last = await browser.visit(start_url(APP, "/", switch="1"), user="bob", stop=is_app_url)
        assert last.headers["location"] == f"{APP}/"
        session = await fixture.find_session(browser, APP)
        assert session is not None
        assert session.identity.subject == "bob"
        assert await fixture.find_session(browser, WIKI) is None


async def test_strict_cookies_are_seen_by_the_central_host(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, same_site="strict") as fixture,
        fixture.browser() as browser,
    ):
        await sign_in_strictly(browser, APP)
        asked = len(browser.visited)
        await sign_in_strictly(browser, WIKI)
        assert not any("localhost" in url for url in browser.visited[asked:])
        assert await fixture.find_session(browser, WIKI) is not None


async def sign_in_strictly(browser: Browser, host: str) -> None:
    """As a browser does that keeps strict cookies at home after a redirect from another site."""
    reply: httpx2.Response = await browser.get(start_url(host, "/x"), **{"sec-fetch-site": "none"})
    for _ in range(10):
        target = reply.headers.get("location")
        if reply.status_code == 200 and (onward := page(reply).refresh):
            if is_app_url(onward):
                return
            reply = await browser.get(onward, **{"sec-fetch-site": "same-origin"})
        elif target is not None and parse_origin_of(target) in {AUTH, APP, WIKI}:
            reply = await browser.get(target, **{"sec-fetch-site": "cross-site"})
        else:
            reply = await browser.follow(reply, user="alice", stop=at_handover)
    raise AssertionError(browser.visited)


def parse_origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def test_a_loop_across_hosts_ends_with_a_page(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        for _ in range(3):
            await sign_in(browser, APP)
            browser.client.cookies.delete("__Host-authz", domain="app.example.com", path="/")
        assert (await browser.get(start_url(APP, "/"))).status_code == 400
        assert await sign_in(browser, WIKI) == f"{WIKI}/"
