"""Who chooses the provider where a route has several: the visitor, on a page of ours. Links of others
begin a sign-in and choose nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers.browser import page
from tests.servers.strict_provider import StrictProvider, running_strict_provider
from tests.support.sign_in import APP, AUTH, SignInFixture, running_sign_in
from tests.support.sign_in_steps import is_app_url, start_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx2

    from tests.servers.browser import Browser

ROUTES = (
    {"from": APP, "identity_provider": ["staff", "partners"]},
    {"from": APP, "prefix": "/staff", "identity_provider": "staff"},
    {"from": AUTH, "identity_provider": ["staff", "partners"]},
)
CROSS_SITE = {"sec-fetch-site": "cross-site"}
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
MOST_PAGES = 6


@pytest.fixture(scope="module")
def staff() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-staff") as provider:
        yield provider


@pytest.fixture(scope="module")
def partners() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-partners") as provider:
        yield provider


@pytest.fixture(params=[AUTH, None], ids=["central host", "its own host"])
def auth_host(request: pytest.FixtureRequest) -> str | None:
    host: str | None = request.param
    return host


@pytest.fixture(params=["lax", "strict"])
def same_site(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def fixture(
    staff: StrictProvider, partners: StrictProvider, auth_host: str | None, same_site: str
) -> AsyncIterator[SignInFixture]:
    providers = {
        name: {"issuer": provider.issuer, "client_secret": provider.client_secret}
        for name, provider in (("staff", staff), ("partners", partners))
    }
    async with running_sign_in(
        staff.issuer,
        auth_host=auth_host,
        providers=providers,
        routes=ROUTES,
        same_site=same_site,
    ) as built:
        yield built


@pytest.fixture
async def browser(fixture: SignInFixture) -> AsyncIterator[Browser]:
    async with fixture.browser() as opened:
        yield opened


def choices(reply: httpx2.Response) -> list[str]:
    return [link for link in page(reply).links if "choice=" in link]


def provider_of(reply: httpx2.Response) -> str:
    """Where a sign-in goes, and to which redirect URI it is to come back."""
    location = urlsplit(reply.headers["location"])
    [uri] = parse_qs(location.query)["redirect_uri"]
    assert location.path == "/authorize"
    return uri.rpartition("/callback/")[2]


async def go_on(browser: Browser, reply: httpx2.Response, **headers: str) -> httpx2.Response:
    """Follow redirects, and pages that go on by themselves, until one waits or leads outside."""
    for _ in range(MOST_PAGES):
        reply = await browser.follow(reply, stop=lambda url: "/.auth/" not in url)
        onward = page(reply).refresh
        if onward is None:
            return reply
        reply = await browser.get(onward, **headers)
    raise AssertionError(f"no end: {browser.visited[-6:]}")


async def signed_in(browser: Browser, url: str) -> str:
    """The address of the app that a sign-in at a provider ends at."""
    for _ in range(MOST_PAGES):
        last = await browser.follow(await browser.get(url, **SAME_ORIGIN), stop=is_app_url)
        url = last.headers.get("location") or page(last).refresh or ""
        assert url, last.text
        if is_app_url(url):
            return url
    raise AssertionError(f"no end: {browser.visited[-6:]}")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("where", [APP, AUTH])
@pytest.mark.parametrize("named", ["staff", "partners"])
async def test_a_third_party_does_not_choose(
    fixture: SignInFixture, browser: Browser, method: str, where: str, named: str
) -> None:
    if where == AUTH and fixture.auth_host is None:
        where = APP
    given = {
        "iss": fixture.context.providers[named].settings.issuer,
        "target_link_uri": f"{where}/x",
        "login_hint": "ann",
    }
    sent: dict[str, Any] = {"params": given} if method == "GET" else {"data": given}
    reply = await browser.request(method, f"{where}/.auth/start", headers=CROSS_SITE, **sent)
    chooser = await go_on(browser, reply, **SAME_ORIGIN)
    assert chooser.status_code == 200
    assert "location" not in chooser.headers
    assert len(choices(chooser)) == 2
    for link, name in zip(choices(chooser), ("staff", "partners"), strict=True):
        chosen = await browser.get(link, **SAME_ORIGIN)
        assert provider_of(chosen) == name, "whichever was named"
        assert parse_qs(urlsplit(chosen.headers["location"]).query)["login_hint"] == ["ann"]


async def test_an_issuer_of_nobody_is_refused(fixture: SignInFixture, browser: Browser) -> None:
    url = start_url(APP, "/x", iss="https://evil.example")
    reply = await go_on(browser, await browser.get(url, **CROSS_SITE), **SAME_ORIGIN)
    assert reply.status_code == 403
    assert "choice=" not in reply.text


async def test_where_one_provider_serves_a_route_there_is_nothing_to_choose(
    fixture: SignInFixture, browser: Browser
) -> None:
    issuer = fixture.context.providers["staff"].settings.issuer
    reply = await go_on(browser, await browser.get(start_url(APP, "/staff/x", iss=issuer)))
    assert provider_of(reply) == "staff"


async def test_whoever_is_signed_in_as_asked_goes_on(
    fixture: SignInFixture, browser: Browser
) -> None:
    chooser = await go_on(browser, await browser.get(start_url(APP, "/x")), **SAME_ORIGIN)
    assert await signed_in(browser, choices(chooser)[1]) == f"{APP}/x"
    issuers = {name: each.settings.issuer for name, each in fixture.context.providers.items()}
    url = start_url(APP, "/y", iss=issuers["partners"], again="1")
    same = await browser.get(url, **SAME_ORIGIN)
    assert same.headers["location"] == f"{APP}/y"
    other = await browser.get(start_url(APP, "/y", iss=issuers["staff"]), **CROSS_SITE)
    assert len(choices(await go_on(browser, other, **SAME_ORIGIN))) == 2


@pytest.mark.parametrize(
    ("site", "counts"),
    [
        pytest.param(["same-origin"], True, id="a click on our page"),
        pytest.param([], True, id="a browser that does not say"),
        pytest.param(["cross-site"], False, id="a link elsewhere"),
        pytest.param(["same-site"], False, id="a link on a sibling host"),
        pytest.param(["none"], False, id="a link in a message"),
        pytest.param(["same-origin", "same-origin"], True, id="said twice"),
        pytest.param(["same-origin", "cross-site"], False, id="two stories"),
    ],
)
async def test_a_choice_is_made_on_our_page(
    fixture: SignInFixture, browser: Browser, site: list[str], *, counts: bool
) -> None:
    """An attacker has the link from a chooser of their own, and lets the victim follow it."""
    async with fixture.browser() as attacker:
        chooser = await go_on(attacker, await attacker.get(start_url(APP, "/x")), **SAME_ORIGIN)
    link = choices(chooser)[1]
    if fixture.context.uses_strict_cookies and not counts:
        link += "&again=1"
    headers = [("sec-fetch-site", each) for each in site]
    reply = await browser.request("GET", link, headers=headers)
    last = await go_on(browser, reply, **SAME_ORIGIN)
    if counts:
        assert provider_of(last) == "partners"
    else:
        assert len(choices(last)) == 2
        assert urlsplit(str(last.url)).path == "/.auth/choose"


async def test_the_chooser_is_where_the_sign_in_is(
    fixture: SignInFixture, browser: Browser
) -> None:
    last = await browser.visit(start_url(APP, "/x"), stop=is_app_url)
    if page(last).refresh:
        last = await go_on(browser, last, **SAME_ORIGIN)
    assert str(last.url).startswith(f"{fixture.auth_host or APP}/.auth/choose?choice=")
