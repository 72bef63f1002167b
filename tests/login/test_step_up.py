"""Signing in again because a page asks for it: how the provider is asked, what has to come back, and
where it ends when it does not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authz_sidecar.core.step_up import AuthenticationRequirement
from authz_sidecar.core.types import Identity
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.step_up import (
    authentication_parameters,
    check_step_up,
    is_plain_request_line,
    needs_prompt_login,
)
from tests.login.dishonest_provider import TamperedProvider
from tests.servers.browser import Browser, page
from tests.servers.hostile_provider import document
from tests.support.sign_in import ADMIN, APP, AUTH, SignInFixture, running_sign_in
from tests.support.sign_in_steps import (
    is_app_url,
    requested_nonce,
    requested_state,
    restart_link,
    sign_in,
    start_url,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx2

    from tests.servers.hostile_provider import HostileProvider
    from tests.servers.providers import RunningProvider


def step_up_route(host: str, prefix: str, *criteria: object) -> dict[str, Any]:
    return {
        "from": host,
        "prefix": prefix,
        "allow_any_authenticated_user": False,
        "policy": {"allow": {"and": list(criteria)}},
    }


GOLD = {"authentication": {"acr": ["gold", "platinum"]}}
RECENT = {"authentication": {"max_age": "30s"}}
ROUTES = (
    {"from": APP},
    step_up_route(APP, "/pay", GOLD),
    step_up_route(APP, "/otp", {"authentication": {"amr": "otp"}}),
    step_up_route(APP, "/recent", RECENT),
    step_up_route(APP, "/bob", GOLD, {"user": {"is": "bob"}}),
    step_up_route(APP, "/write", GOLD, {"http_method": {"is": "POST"}}),
    step_up_route(APP, "/nobody", {"authentication": {"acr": "x"}}, {"groups": {"has": "none"}}),
    {"from": ADMIN},
    step_up_route(ADMIN, "/pay", GOLD),
)
ON_A_CENTRAL_HOST = pytest.mark.parametrize("auth_host", [AUTH], ids=["central host"])


@pytest.fixture
def auth_host() -> str | None:
    """Each host signs in for itself, unless a test says otherwise."""
    return None


@pytest.fixture
async def fixture(
    certified_provider: RunningProvider, auth_host: str | None
) -> AsyncIterator[SignInFixture]:
    async with running_sign_in(
        certified_provider.issuer, auth_host=auth_host, routes=ROUTES
    ) as built:
        yield built


@pytest.fixture
async def browser(fixture: SignInFixture) -> AsyncIterator[Browser]:
    async with fixture.browser() as opened:
        yield opened


def requested_parameters(response: httpx2.Response) -> dict[str, str]:
    query = parse_qs(urlsplit(str(response.headers["location"])).query)
    names = ("acr_values", "max_age", "prompt")
    return {name: query[name][0] for name in names if name in query}


async def open_login_form(browser: Browser, url: str) -> httpx2.Response:
    """On to the provider's form, which is not filled in."""
    form = await browser.visit(url)
    assert "<form" in form.text, form.text
    assert str(form.request.url).startswith("http://localhost"), form.request.url
    return form


async def answer(
    browser: Browser, form: httpx2.Response, user: str = "alice", **more: str
) -> httpx2.Response:
    return await browser.follow(
        await browser.submit(form, {"user": user, **more}), user=user, stop=is_app_url
    )


def token(browser: Browser, host: str = APP) -> str:
    return browser.cookies(parse_origin(host).host)["__Host-authz"]


async def test_a_stronger_sign_in_is_asked_for_and_lets_in(
    fixture: SignInFixture, browser: Browser
) -> None:
    await sign_in(browser)
    before = token(browser)
    asked = await browser.get(start_url(APP, "/pay?x=1"))
    assert requested_parameters(asked) == {"acr_values": "gold platinum", "prompt": "login"}
    form = await browser.follow(asked)
    last = await answer(browser, form, otp="1")
    assert last.headers["location"] == f"{APP}/pay?x=1"
    assert token(browser) != before
    assert await fixture.find_session_by_token(before, parse_origin(APP)) is None
    session = await fixture.find_session(browser, APP)
    assert session is not None
    assert (session.identity.acr, session.identity.amr) == ("gold", ("pwd", "otp"))
    back = await browser.get(start_url(APP, "/pay?x=1"))
    assert back.headers["location"] == f"{APP}/pay?x=1", "asked again"


async def test_a_provider_that_does_not_step_up_ends_on_a_page(
    fixture: SignInFixture, browser: Browser
) -> None:
    await sign_in(browser)
    before, url = token(browser), start_url(APP, "/pay")
    for number in range(2, 5):
        refused = await answer(browser, await open_login_form(browser, url))
        assert refused.status_code == 403
        assert "“gold” or “platinum”" in refused.text
        url = restart_link(refused)
        assert url.endswith(f"attempt={number}")
    assert (await browser.get(url)).status_code == 400, "the loop breaker"
    assert token(browser) == before
    assert await fixture.find_session(browser, APP) is not None


async def test_whoever_comes_back_as_somebody_else_is_told(
    fixture: SignInFixture, browser: Browser
) -> None:
    await sign_in(browser)
    before = token(browser)
    form = await open_login_form(browser, start_url(APP, "/pay"))
    shown = await answer(browser, form, user="bob", otp="1")
    assert shown.status_code == 200
    assert "another account" in shown.text
    assert "Bob Brown" in shown.text
    assert f"{APP}/pay" in page(shown).links
    assert any("switch=1" in link for link in page(shown).links)
    session = await fixture.find_session(browser, APP)
    assert session is not None
    assert session.identity.subject == "bob"
    assert await fixture.find_session_by_token(before, parse_origin(APP)) is None


async def test_the_session_before_is_ended_also_where_its_cookie_stays_at_home(
    certified_provider: RunningProvider,
) -> None:
    """With `same_site: strict` the way back from the provider brings no session cookie."""
    async with (
        running_sign_in(
            certified_provider.issuer, auth_host=None, routes=ROUTES, same_site="strict"
        ) as fixture,
        fixture.browser() as browser,
    ):
        browser.client.headers["sec-fetch-site"] = "same-origin"
        await browser.visit(start_url(APP, "/"), user="alice", stop=is_app_url)
        before = token(browser)
        form = await open_login_form(browser, start_url(APP, "/pay"))
        browser.client.cookies.delete("__Host-authz", domain="app.example.com", path="/")
        shown = await answer(browser, form, otp="1")
        assert page(shown).refresh == f"{APP}/pay"
        assert token(browser) != before
        assert await fixture.find_session_by_token(before, parse_origin(APP)) is None


@ON_A_CENTRAL_HOST
async def test_the_central_host_steps_up_and_the_others_follow(
    fixture: SignInFixture, browser: Browser
) -> None:
    for host in (APP, ADMIN):
        await sign_in(browser, host)
    old = {host: token(browser, host) for host in (APP, ADMIN, AUTH)}
    last = await answer(browser, await open_login_form(browser, start_url(APP, "/pay")), otp="1")
    assert last.headers["location"] == f"{APP}/pay"
    for host, before in old.items():
        assert await fixture.find_session_by_token(before, parse_origin(host)) is None, host
    for host in (APP, AUTH):
        session = await fixture.find_session(browser, host)
        assert session is not None
        assert session.identity.acr == "gold"

    # The other host's session is made anew with its next page, and is as strong as asked.
    asked = len(browser.visited)
    assert await sign_in(browser, ADMIN, "/pay") == f"{ADMIN}/pay"
    assert not any("localhost" in url for url in browser.visited[asked:])
    child = await fixture.find_session(browser, ADMIN)
    assert child is not None
    assert child.identity.acr == "gold"


@ON_A_CENTRAL_HOST
async def test_a_central_session_of_somebody_else_is_shown_before_going_on(
    fixture: SignInFixture, browser: Browser
) -> None:
    await sign_in(browser)
    form = await open_login_form(browser, start_url(APP, "/pay"))
    shown = await answer(browser, form, user="bob", otp="1")
    assert "another account" in shown.text
    assert str(shown.request.url).startswith(AUTH)
    links = page(shown).links
    last = await browser.visit(
        next(link for link in links if "switch" not in link), stop=is_app_url
    )
    assert last.headers["location"] == f"{APP}/pay"
    session = await fixture.find_session(browser, APP)
    assert session is not None
    assert session.identity.subject == "bob"


async def test_nobody_chooses_what_is_asked_for_by_a_link(browser: Browser) -> None:
    more = {"acr_values": "bronze", "max_age": "1", "prompt": "none", "step_up": "1", "user": "x"}
    assert requested_parameters(await browser.get(start_url(APP, "/", **more))) == {}
    await sign_in(browser)
    asked = await browser.get(start_url(APP, "/pay", **more))
    assert requested_parameters(asked) == {"acr_values": "gold platinum", "prompt": "login"}


@pytest.mark.parametrize("rd", ["/", "/bob", "/nobody", "/elsewhere"])
async def test_no_other_sign_in_is_asked_for_where_it_would_not_help(
    browser: Browser, rd: str
) -> None:
    await sign_in(browser)
    assert (await browser.get(start_url(APP, rd))).headers["location"] == f"{APP}{rd}"


@ON_A_CENTRAL_HOST
async def test_a_question_that_is_not_the_pages_is_stepped_up_for(browser: Browser) -> None:
    await sign_in(browser)
    question = start_url(APP, "/form?a=1", **{"for": "POST /write/it"})
    last = await answer(browser, await open_login_form(browser, question), otp="1")
    assert last.headers["location"] == f"{APP}/form?a=1"
    assert (await browser.get(question)).headers["location"] == f"{APP}/form?a=1"


@pytest.mark.parametrize(
    "question",
    [
        pytest.param("POST", id="no path"),
        pytest.param("POST pay", id="not a path"),
        pytest.param("POST /a b", id="white space"),
        pytest.param("POST /a?b", id="query"),
        pytest.param("P0ST /a", id="no method"),
        pytest.param("POST /a%0d%0ab", id="control bytes"),
        pytest.param(" /a", id="nothing at all"),
        pytest.param("POST //evil.example/\r\n", id="lines"),
        pytest.param("POST /" + "a" * 1100, id="too long"),
    ],
)
@ON_A_CENTRAL_HOST
async def test_a_question_is_a_method_and_a_path(browser: Browser, question: str) -> None:
    reply = await browser.get(start_url(APP, "/", **{"for": question}))
    assert reply.status_code == 400
    assert is_plain_request_line("POST /a/b%2fc;d=1")


async def test_a_sign_in_long_ago_is_done_again(fixture: SignInFixture, browser: Browser) -> None:
    fixture.clock.offset = 0
    await sign_in(browser)
    # Not every provider says when it was, unless it is asked.
    last = await browser.visit(start_url(APP, "/recent"), stop=is_app_url)
    assert last.headers["location"] == f"{APP}/recent"
    fixture.clock.offset = 45
    asked = await browser.get(start_url(APP, "/recent", attempt="2"))
    assert requested_parameters(asked) == {"max_age": "30", "prompt": "login"}
    form = await browser.follow(asked)
    fixture.clock.offset = 0
    assert (await answer(browser, form)).headers["location"] == f"{APP}/recent"


async def test_clocks_that_differ_end_on_a_page_that_says_so(
    fixture: SignInFixture, browser: Browser
) -> None:
    fixture.clock.offset = 45
    await sign_in(browser)
    refused = await browser.visit(start_url(APP, "/recent"))
    assert refused.status_code == 403
    assert "less than 30 seconds ago" in refused.text
    assert "clock" in refused.text


@pytest.mark.parametrize(
    ("path", "claims", "cause"),
    [
        pytest.param("/pay", {"acr": "gold"}, None, id="level"),
        pytest.param("/pay", {"acr": "platinum"}, None, id="the other level"),
        pytest.param("/pay", {"acr": "bronze"}, "reported “bronze”", id="a lesser level"),
        pytest.param("/pay", {}, "reported none", id="no level"),
        pytest.param("/pay", {"acr": ["gold"]}, "reported none", id="a list of levels"),
        pytest.param("/pay", {"acr": "GOLD"}, "reported “GOLD”", id="letter case"),
        pytest.param("/pay", {"acr": "gold silver"}, "“gold silver”", id="two levels in one"),
        pytest.param("/otp", {"amr": ["pwd", "otp"]}, None, id="methods"),
        pytest.param("/otp", {"amr": ["pwd"]}, "reported “pwd”", id="another method"),
        pytest.param("/otp", {}, "reported none", id="no method"),
        pytest.param("/recent", {"auth_time": 0}, None, id="just now"),
        pytest.param("/recent", {"auth_time": -31}, "was 3", id="too long ago"),
        pytest.param("/recent", {"auth_time": 3600}, "does not say when", id="in an hour"),
        pytest.param("/recent", {}, "does not say when", id="nobody knows when"),
        pytest.param("/recent", {"auth_time": "now"}, "does not say when", id="no time"),
        pytest.param("/recent", {"auth_time": True}, "does not say when", id="a truth"),
    ],
)
async def test_what_comes_back_is_compared_with_what_was_asked_for(
    hostile_provider: HostileProvider, path: str, claims: dict[str, Any], cause: str | None
) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        fixture.clock.offset = 0
        await return_from_provider(
            browser, tampered_provider, await browser.get(start_url(APP, "/"))
        )
        before = token(browser)
        asked = await browser.get(start_url(APP, path))
        assert requested_parameters(asked)
        if isinstance(claims.get("auth_time"), int) and claims["auth_time"] is not True:
            claims = claims | {"auth_time": int(time.time()) + claims["auth_time"]}
        reply = await return_from_provider(browser, tampered_provider, asked, **claims)
        if cause is None:
            assert reply.headers["location"] == f"{APP}{path}"
            assert token(browser) != before
        else:
            assert reply.status_code == 403
            assert "location" not in reply.headers
            assert cause in reply.text
            assert token(browser) == before
            assert await fixture.find_session(browser, APP) is not None


async def test_userinfo_says_nothing_of_how_somebody_signed_in(
    hostile_provider: HostileProvider,
) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await return_from_provider(
            browser, tampered_provider, await browser.get(start_url(APP, "/"))
        )
        hostile_provider.answers["/userinfo"] = document(
            {"sub": "alice", "acr": "gold", "auth_time": int(time.time())}
        )
        reply = await return_from_provider(
            browser, tampered_provider, await browser.get(start_url(APP, "/pay"))
        )
        assert reply.status_code == 403


async def return_from_provider(
    browser: Browser, tampered_provider: TamperedProvider, asked: httpx2.Response, **claims: object
) -> httpx2.Response:
    """As from the provider, with an ID token that says this."""
    tampered_provider.set_token_response(
        id_token=tampered_provider.id_token(nonce=await requested_nonce(asked), **claims)
    )
    return await browser.get(
        f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
    )


async def test_a_session_that_was_stepped_up_is_not_adopted_by_another_attempt(
    fixture: SignInFixture, browser: Browser
) -> None:
    """The requirement travels in the sealed attempt; another one's answer does not meet it."""
    await sign_in(browser)
    strong = await browser.get(start_url(APP, "/pay"))
    plain = await browser.get(start_url(APP, "/", switch="1"))
    assert requested_parameters(plain) == {"prompt": "login"}
    form = await browser.follow(plain)
    last = await answer(browser, form)
    assert last.headers["location"] == f"{APP}/"
    session = await fixture.find_session(browser, APP)
    assert session is not None
    assert session.identity.acr is None
    assert requested_parameters(strong)["acr_values"] == "gold platinum"


@pytest.mark.parametrize(
    ("step_up", "number", "expected"),
    [
        pytest.param(AuthenticationRequirement(max_age=90.5), 1, {"max_age": "90"}, id="age alone"),
        pytest.param(
            AuthenticationRequirement(max_age=90),
            2,
            {"max_age": "90", "prompt": "login"},
            id="once more",
        ),
        pytest.param(
            AuthenticationRequirement(acr=("a", "b")),
            1,
            {"acr_values": "a b", "prompt": "login"},
            id="levels",
        ),
        pytest.param(AuthenticationRequirement(amr=("otp",)), 1, {"prompt": "login"}, id="methods"),
    ],
)
def test_how_a_provider_is_asked(
    step_up: AuthenticationRequirement, number: int, expected: dict[str, str]
) -> None:
    assert (
        authentication_parameters(
            step_up, prompt_login=needs_prompt_login(step_up, round_number=number)
        )
        == expected
    )


@pytest.mark.parametrize("auth_host", [AUTH, None], ids=["central host", "each for itself"])
async def test_a_first_sign_in_is_as_strong_as_the_page_will_ask(
    fixture: SignInFixture, browser: Browser
) -> None:
    asked = await browser.visit(
        start_url(APP, "/pay"), stop=lambda url: url.startswith("http://localhost")
    )
    assert requested_parameters(asked) == {"acr_values": "gold platinum"}
    last = await answer(browser, await browser.follow(asked), otp="1")
    assert last.headers["location"] == f"{APP}/pay"
    session = await fixture.find_session(browser, APP)
    assert session is not None
    assert session.identity.acr == "gold"


async def test_a_first_sign_in_that_is_weaker_is_a_sign_in_nevertheless(browser: Browser) -> None:
    """Whether it is enough is for the gate to say; other pages may be open to it."""
    last = await answer(browser, await open_login_form(browser, start_url(APP, "/pay")))
    assert last.headers["location"] == f"{APP}/pay"
    assert requested_parameters(await browser.get(start_url(APP, "/pay")))["prompt"] == "login"


def test_the_causes_quote_no_more_than_a_line_of_what_a_provider_says() -> None:
    who = Identity(provider="p", issuer="i", subject="s", acr="x" * 9000, amr=("y" * 9000,))
    causes = check_step_up(AuthenticationRequirement(acr=("a",), amr=("b",)), who, now=0.0)
    assert len(causes) == 2
    assert all(len(cause) < 300 for cause in causes)
