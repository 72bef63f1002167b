"""Hosts that are signed in together: every one of them is, nobody is led astray, and nobody is kept
from where they were going."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.login_request import (
    CHOICE_PURPOSE,
    HANDOFF_PURPOSE,
    HOST_CHAIN_PURPOSE,
    LoginIntent,
    seal_intent,
)
from authz_sidecar.login.loop_detection import MAX_ROUNDS
from tests.servers.browser import MOST_STEPS, Browser, page
from tests.support.sign_in import ADMIN, APP, AUTH, WIKI, SignInFixture, running_sign_in
from tests.support.sign_in_steps import DEEP_LINK, TWO_PROVIDERS, is_app_url, sign_in, start_url

if TYPE_CHECKING:
    from tests.servers.providers import RunningProvider

TOGETHER = ({"from": APP, "depends_on": [ADMIN, WIKI]}, {"from": ADMIN}, {"from": WIKI})
ANYWHERE = pytest.mark.parametrize(
    "auth_host", [AUTH, None], ids=["central host", "each host for itself"]
)


async def walk(browser: Browser, url: str, user: str = "alice") -> str:
    """The address of the app that a walk ends at, by its redirects and pages that go on."""
    for _ in range(MOST_STEPS):
        last = await browser.visit(url, user=user, stop=is_app_url)
        if "location" in last.headers:
            return str(last.headers["location"])
        onward = page(last).refresh
        assert onward, last.text
        if is_app_url(onward):
            return onward
        url = onward
    raise AssertionError(f"no end: {browser.visited}")


def walk_to(
    fixture: SignInFixture,
    host: str,
    *steps: str,
    seconds: float = 60,
    purpose: str = HOST_CHAIN_PURPOSE,
) -> str:
    intent = LoginIntent(return_to=f"{host}/", walk=steps, provider="corp")
    sealed = seal_intent(
        intent,
        fixture.keys,
        purpose=purpose,
        origin=parse_origin(host),
        expires_at=fixture.clock() + seconds,
    )
    return f"{host}/.auth/start?walk={sealed}"


@ANYWHERE
async def test_one_sign_in_opens_all_of_them(
    certified_provider: RunningProvider, auth_host: str | None
) -> None:
    async with (
        running_sign_in(certified_provider.issuer, auth_host=auth_host, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        assert await walk(browser, start_url(APP, DEEP_LINK)) == f"{APP}{DEEP_LINK}"
        tokens = set()
        for host in (APP, ADMIN, WIKI):
            session = await fixture.find_session(browser, host)
            assert session is not None, host
            assert session.identity.subject == "alice"
            tokens.add(browser.cookies(parse_origin(host).host)["__Host-authz"])
        assert len(tokens) == 3

        # From a page of the app it is asked for again, and costs a redirect a host.
        asked = len(browser.visited)
        assert await walk(browser, start_url(APP, DEEP_LINK)) == f"{APP}{DEEP_LINK}"
        again = browser.visited[asked:]
        assert [urlsplit(url).netloc for url in again] == [
            urlsplit(host).netloc for host in (APP, ADMIN, WIKI)
        ]


@ANYWHERE
async def test_only_the_route_of_the_page_sends_for_a_walk(
    certified_provider: RunningProvider, auth_host: str | None
) -> None:
    async with (
        running_sign_in(certified_provider.issuer, auth_host=auth_host, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, ADMIN)
        assert await fixture.find_session(browser, ADMIN) is not None
        assert await fixture.find_session(browser, APP) is None
        assert await fixture.find_session(browser, WIKI) is None


async def test_a_dependent_session_that_ended_is_made_anew(
    certified_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(certified_provider.issuer, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        await walk(browser, start_url(APP, "/"))
        ended = await fixture.find_session(browser, WIKI)
        assert ended is not None
        await fixture.context.sessions.end(ended)
        assert await walk(browser, start_url(APP, "/back")) == f"{APP}/back"
        assert await fixture.find_session(browser, WIKI) is not None
        assert ended != await fixture.find_session(browser, WIKI)


async def test_a_host_of_another_provider_is_passed_by(
    certified_provider: RunningProvider,
) -> None:
    routes = (
        {"from": APP, "depends_on": [ADMIN, WIKI], "identity_provider": "corp"},
        {"from": ADMIN, "identity_provider": "partners"},
        {"from": WIKI, "identity_provider": ["corp", "partners"]},
    )
    async with (
        running_sign_in(
            certified_provider.issuer,
            routes=routes,
            providers=TWO_PROVIDERS,
            default_provider="corp",
        ) as fixture,
        fixture.browser() as browser,
    ):
        assert await walk(browser, start_url(APP, "/x")) == f"{APP}/x"
        assert await fixture.find_session(browser, WIKI) is not None
        assert not any(url.startswith(ADMIN) for url in browser.visited)


async def test_a_host_that_goes_round_in_circles_is_passed_by(
    certified_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(certified_provider.issuer, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        admin = parse_origin(ADMIN)
        cookie: list[str] = []
        for _ in range(MAX_ROUNDS):
            line = fixture.context.loop_detector.count_round(
                cookie, origin=admin, now=fixture.clock()
            )
            cookie = [line.partition(";")[0]]
        name, _, value = cookie[0].partition("=")
        browser.client.cookies.set(name, value, domain=admin.host)
        assert await walk(browser, start_url(APP, "/x")) == f"{APP}/x"
        assert await fixture.find_session(browser, ADMIN) is None
        assert await fixture.find_session(browser, WIKI) is not None


async def test_whoever_refuses_on_the_way_can_still_go_where_they_were_going(
    certified_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(certified_provider.issuer, auth_host=None, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        form = await browser.visit(walk_to(fixture, ADMIN, WIKI, f"{APP}/x?y=1"))
        refused = await browser.follow(await browser.submit(form, {"deny": "1"}))
        assert refused.status_code == 403
        assert f"{APP}/x?y=1" in page(refused).links


async def test_a_provider_that_is_down_keeps_nobody(certified_provider: RunningProvider) -> None:
    nowhere = "http://localhost:9"
    async with (
        running_sign_in(nowhere, auth_host=None, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        last = await browser.visit(walk_to(fixture, ADMIN, WIKI, f"{APP}/x"), stop=is_app_url)
        assert last.headers["location"] == f"{APP}/x"
        assert certified_provider.issuer != nowhere


@pytest.mark.parametrize(
    ("url", "status"),
    [
        pytest.param(lambda at: walk_to(at, WIKI, f"{APP}/x"), 400, id="another host's"),
        pytest.param(
            lambda at: walk_to(at, ADMIN, f"{APP}/x", purpose=CHOICE_PURPOSE),
            400,
            id="another purpose",
        ),
        pytest.param(
            lambda at: walk_to(at, ADMIN, f"{APP}/x", purpose=HANDOFF_PURPOSE),
            400,
            id="a hand-over's",
        ),
        pytest.param(lambda at: f"{walk_to(at, ADMIN, f'{APP}/x')}&walk=x", 400, id="twice"),
        pytest.param(lambda at: f"{walk_to(at, ADMIN, f'{APP}/x')}x", 400, id="changed"),
        pytest.param(
            lambda at: f"{walk_to(at, ADMIN, f'{APP}/x')}&choice=x", 400, id="with a choice"
        ),
    ],
)
async def test_a_walk_is_ours_alone(
    certified_provider: RunningProvider, url: Any, status: int
) -> None:
    async with (
        running_sign_in(certified_provider.issuer, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        path = url(fixture).partition("/.auth/")[2]
        reply = await browser.get(f"{ADMIN}/.auth/{path}")
        assert reply.status_code == status
        assert "location" not in reply.headers


async def test_a_walk_that_took_too_long_leads_where_it_would_have_ended(
    certified_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(certified_provider.issuer, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        late = await browser.get(walk_to(fixture, ADMIN, f"{APP}/x", seconds=-1))
        assert late.status_code == 400
        assert f"{APP}/x" in page(late).links


async def test_a_walk_ends_on_hosts_that_are_protected_still(
    certified_provider: RunningProvider,
) -> None:
    """The configuration may have changed since it began."""
    async with (
        running_sign_in(certified_provider.issuer, auth_host=None, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, ADMIN)
        last = await browser.get(walk_to(fixture, ADMIN, "https://evil.example/x"))
        assert last.headers["location"] == f"{ADMIN}/"


MOST_REDIRECTS = 20
"""Chromium's limit, and Firefox's; Safari's is 16 or more (Fetch, section 4.4, has 20)."""


@ANYWHERE
async def test_no_browser_meets_too_many_redirects(
    certified_provider: RunningProvider, auth_host: str | None
) -> None:
    others = [f"https://a{n}.example.com" for n in range(5)]
    hosts = [APP, ADMIN, WIKI, "https://auth.example.net", AUTH]
    routes = (
        {"from": APP, "depends_on": [host for host in hosts if host != APP]},
        *({"from": host} for host in (*hosts[1:], *others)),
    )
    async with (
        running_sign_in(certified_provider.issuer, auth_host=auth_host, routes=routes) as fixture,
        fixture.browser("https://auth.example.net") as browser,
    ):
        url, chains = start_url(APP, "/"), []
        while not is_app_url(url):
            before = len(browser.visited)
            last = await browser.visit(url, user="alice", stop=is_app_url)
            chains.append(len(browser.visited) - before)
            url = last.headers.get("location") or page(last).refresh or ""
        assert url == f"{APP}/"
        assert max(chains) < MOST_REDIRECTS - 5


async def test_a_walk_says_nothing_of_where_it_leads(certified_provider: RunningProvider) -> None:
    async with (
        running_sign_in(certified_provider.issuer, routes=TOGETHER) as fixture,
        fixture.browser() as browser,
    ):
        await walk(browser, start_url(APP, "/secret-page"))
        steps = [url for url in browser.visited if "walk=" in url]
        assert len(steps) == 2
        for url in steps:
            assert list(parse_qs(urlsplit(url).query)) == ["walk"]
            assert "secret" not in url
