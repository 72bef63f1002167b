"""My sessions: what is listed, what can be ended, and by whom alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.login.session_list import describe_device
from tests.servers.browser import Browser, page
from tests.support.sign_in import APP, AUTH, WIKI, running_sign_in
from tests.support.sign_in_steps import cleared_cookies, sign_in, start_url

if TYPE_CHECKING:
    from tests.servers.providers import RunningProvider

MINE, REVOKE = f"{AUTH}/.auth/sessions", f"{AUTH}/.auth/sessions/revoke"
PHONE = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1"}


async def fields(browser: Browser, url: str = MINE) -> dict[str, str]:
    return page(await browser.get(url)).forms[0].fields


async def post(browser: Browser, origin: str = AUTH, url: str = REVOKE, **form: str) -> Any:
    return await browser.request("POST", url, data=form, headers={"origin": origin})


async def test_what_is_listed(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer) as fixture,
        fixture.browser() as desktop,
        fixture.browser() as phone,
        fixture.browser() as bobs,
    ):
        phone.client.headers.update(PHONE)
        for browser in (desktop, phone):
            await sign_in(browser, APP)
        await sign_in(desktop, WIKI)
        await sign_in(bobs, APP, user="bob")
        shown = await desktop.get(MINE)
        assert shown.status_code == 200
        assert "Safari on an iPhone" in shown.text
        assert "Browser" in shown.text
        assert shown.text.count("(this browser)") == 1
        assert "app.example.com, auth.example.com, wiki.example.org" in shown.text
        assert "bob@example.com" not in shown.text
        assert shown.text.count("End this session") == 1
        assert shown.headers["cache-control"] == "no-store"


async def test_ending_another_one(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer) as fixture,
        fixture.browser() as desktop,
        fixture.browser() as phone,
    ):
        for browser in (desktop, phone):
            await sign_in(browser, APP)
        theirs = await fixture.find_session(phone, AUTH)
        assert theirs is not None
        csrf = (await fields(desktop))["csrf"]
        done = await post(desktop, csrf=csrf, session=theirs.public_id)
        assert (done.status_code, done.headers["location"], cleared_cookies(done)) == (
            303,
            MINE,
            [],
        )
        assert await fixture.find_session(phone, AUTH) is None
        assert await fixture.find_session(phone, APP) is None
        assert await fixture.find_session(desktop, APP) is not None


async def test_ending_this_one(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        mine = await fixture.find_session(browser, AUTH)
        assert mine is not None
        done = await post(browser, csrf=(await fields(browser))["csrf"], session=mine.public_id)
        assert done.headers["location"] == f"{AUTH}/.auth/signed_out"
        assert cleared_cookies(done) == ["__Host-authz"]
        assert await fixture.find_session(browser, APP) is None


async def test_signing_out_everywhere(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer) as fixture,
        fixture.browser() as desktop,
        fixture.browser() as phone,
        fixture.browser() as bobs,
    ):
        for browser in (desktop, phone):
            await sign_in(browser, APP)
        await sign_in(bobs, APP, user="bob")
        done = await post(desktop, csrf=(await fields(desktop))["csrf"], all="1")
        assert done.headers["location"] == f"{AUTH}/.auth/signed_out"
        for browser in (desktop, phone):
            assert await fixture.find_session(browser, APP) is None
            assert await fixture.find_session(browser, AUTH) is None
        assert await fixture.find_session(bobs, APP) is not None


async def test_nobody_ends_anothers(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer) as fixture,
        fixture.browser() as alices,
        fixture.browser() as bobs,
    ):
        await sign_in(alices, APP)
        await sign_in(bobs, APP, user="bob")
        hers = await fixture.find_session(alices, AUTH)
        assert hers is not None
        done = await post(bobs, csrf=(await fields(bobs))["csrf"], session=hers.public_id)
        assert done.headers["location"] == MINE
        assert await fixture.find_session(alices, APP) is not None


@pytest.mark.parametrize(
    ("origin", "form", "headers"),
    [
        pytest.param(AUTH, {"csrf": ""}, {}, id="no token"),
        pytest.param(AUTH, {"csrf": "A" * 80}, {}, id="made-up token"),
        pytest.param(APP, {}, {}, id="an app's origin"),
        pytest.param("https://evil.example", {}, {}, id="another site's origin"),
        pytest.param("null", {}, {}, id="no origin"),
        pytest.param(AUTH, {}, {"sec-fetch-site": "same-site"}, id="a sibling's page"),
        pytest.param(AUTH, {}, {"sec-fetch-site": "cross-site"}, id="another site's page"),
    ],
)
async def test_forms_of_others(
    mock_provider: RunningProvider, origin: str, form: dict[str, str], headers: dict[str, str]
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        given = {**await fields(browser), "all": "1", **form}
        refused = await browser.request(
            "POST", REVOKE, data=given, headers={"origin": origin, **headers}
        )
        assert refused.status_code == 400
        assert await fixture.find_session(browser, APP) is not None


async def test_the_token_of_the_sign_out_form_is_no_good_here(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        other = await fields(browser, f"{AUTH}/.auth/sign_out")
        assert (await post(browser, csrf=other["csrf"], all="1")).status_code == 400
        assert await fixture.find_session(browser, APP) is not None


async def test_on_the_central_host_alone(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        led = await browser.get(f"{APP}/.auth/sessions")
        assert (led.status_code, led.headers["location"]) == (303, MINE)
        csrf = (await fields(browser))["csrf"]
        refused = await post(
            browser, origin=APP, url=f"{APP}/.auth/sessions/revoke", csrf=csrf, all="1"
        )
        assert refused.status_code == 400
        assert await fixture.find_session(browser, APP) is not None


async def test_without_a_central_host(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        await sign_in(browser, WIKI)
        url = f"{APP}/.auth/sessions"
        csrf = (await fields(browser, url))["csrf"]
        there = await fixture.find_session(browser, WIKI)
        assert there is not None
        await post(browser, origin=APP, url=f"{url}/revoke", csrf=csrf, session=there.public_id)
        assert await fixture.find_session(browser, WIKI) is None
        assert await fixture.find_session(browser, APP) is not None


async def test_strangers(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        shown = await browser.get(MINE)
        assert shown.status_code == 401
        assert start_url(AUTH, "/.auth/sessions") in page(shown).links
        asked = await post(browser, all="1")
        assert (asked.status_code, asked.headers["location"]) == (303, MINE)


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        pytest.param("", "Unknown browser", id="nothing"),
        pytest.param("curl/8.7.1", "curl", id="curl"),
        pytest.param(
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
            id="Firefox",
        ),
        pytest.param(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
            id="Edge",
        ),
        pytest.param(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like"
            " Gecko) Version/18.0 Safari/605.1.15",
            "Safari on a Mac",
            id="Safari",
        ),
        pytest.param(
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
            id="Chrome",
        ),
        pytest.param("<script>alert(1)</script>", "Unknown browser", id="markup"),
    ],
)
def test_devices(user_agent: str, said: str) -> None:
    assert describe_device(user_agent) == said


async def test_people_read_the_label_of_their_provider(mock_provider: RunningProvider) -> None:
    providers: dict[str, dict[str, Any]] = {"corp": {"label": "Corporate login"}}
    async with (
        running_sign_in(mock_provider.issuer, providers=providers) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        assert "with Corporate login" in (await browser.get(MINE)).text
        assert "<dd>Corporate login</dd>" in (await browser.get(f"{APP}/.auth/")).text
