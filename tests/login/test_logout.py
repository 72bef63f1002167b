"""Sign-out: asked for, done, also at the provider, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.login.dishonest_provider import TamperedProvider
from tests.servers.browser import Browser, page
from tests.support.sign_in import ADMIN, APP, AUTH, WIKI, running_sign_in
from tests.support.sign_in_steps import (
    cleared_cookies,
    requested_nonce,
    requested_state,
    sign_in,
    start_url,
)

if TYPE_CHECKING:
    from tests.servers.hostile_provider import HostileProvider
    from tests.servers.providers import RunningProvider

EVERYWHERE = {"scope": "everywhere"}


async def test_asking_does_nothing(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser)
        await browser.get(f"{APP}/.auth/sign_out")
        asked = await browser.get(f"{APP}/.auth/sign_out")
        assert asked.status_code == 200
        assert "alice@example.com" in asked.text
        assert asked.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in asked.headers["content-security-policy"]
        assert await fixture.find_session(browser, APP) is not None


async def test_everywhere_ends_the_sign_in_and_all_its_children(
    real_provider: RunningProvider,
) -> None:
    async with running_sign_in(real_provider.issuer) as fixture, fixture.browser() as browser:
        for host in (APP, ADMIN, WIKI):
            await sign_in(browser, host)
        asked = await browser.get(f"{APP}/.auth/sign_out")
        done = await browser.submit(asked, EVERYWHERE)
        assert cleared_cookies(done) == ["__Host-authz"]
        for host in (APP, ADMIN, WIKI, AUTH):
            assert await fixture.find_session(browser, host) is None

        # Then the provider, with what it needs to know whom we mean, and back.
        onward = page(done).refresh
        assert onward is not None
        asked_of_provider = {
            key: value[0] for key, value in parse_qs(urlsplit(onward).query).items()
        }
        assert onward.startswith(real_provider.issuer)
        assert asked_of_provider["client_id"] == "authz"
        assert asked_of_provider["post_logout_redirect_uri"] == f"{AUTH}/.auth/signed_out"
        assert len(asked_of_provider["id_token_hint"].split(".")) == 3
        confirm = await browser.get(onward)
        last = await browser.follow(
            await browser.submit(confirm, {"logout": "yes", "allow": "yes"})
        )
        assert last.status_code == 200
        assert str(last.request.url).startswith(f"{AUTH}/.auth/signed_out?state=")
        assert f"{APP}/" in page(last).links


async def test_this_site_only(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        await sign_in(browser, WIKI)
        asked = await browser.get(f"{APP}/.auth/sign_out")
        assert "this site only" in asked.text.lower()
        done = await browser.submit(asked, {"scope": "site"})
        assert (done.status_code, cleared_cookies(done)) == (303, ["__Host-authz"])
        assert await fixture.find_session(browser, APP) is None
        assert await fixture.find_session(browser, WIKI) is not None
        assert await fixture.find_session(browser, AUTH) is not None
        last = await browser.follow(done)
        assert last.status_code == 200
        assert str(last.request.url).startswith(f"{APP}/.auth/signed_out")


async def test_without_a_central_host(certified_provider: RunningProvider) -> None:
    async with (
        running_sign_in(certified_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        asked = await browser.get(f"{APP}/.auth/sign_out")
        done = await browser.submit(asked, EVERYWHERE)
        onward = page(done).refresh
        assert onward is not None
        assert parse_qs(urlsplit(onward).query)["post_logout_redirect_uri"] == [
            f"{APP}/.auth/signed_out"
        ]
        assert await fixture.find_session(browser, APP) is None


async def test_it_works_while_the_provider_is_down(hostile_provider: HostileProvider) -> None:
    tampered_provider = TamperedProvider(hostile_provider)
    async with (
        running_sign_in(hostile_provider.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/"))
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(nonce=await requested_nonce(asked))
        )
        await browser.get(f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}")
        assert await fixture.find_session(browser, APP) is not None
        hostile_provider.answers.clear()
        last = await browser.follow(
            await browser.submit(await browser.get(f"{APP}/.auth/sign_out"), EVERYWHERE)
        )
        assert (last.status_code, str(last.request.url).partition("?")[0]) == (
            200,
            f"{APP}/.auth/signed_out",
        )
        assert await fixture.find_session(browser, APP) is None


async def forms(browser: Browser) -> dict[str, str]:
    asked = await browser.get(f"{APP}/.auth/sign_out")
    return page(asked).forms[0].fields


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        pytest.param({}, {"csrf": ""}, id="no token"),
        pytest.param({}, {"csrf": "A" * 80}, id="made-up token"),
        pytest.param({"origin": "https://evil.example"}, {}, id="another origin"),
        pytest.param({"origin": AUTH}, {}, id="a sibling's origin"),
        pytest.param({"origin": "null"}, {}, id="no origin, and no word of the site"),
        pytest.param(
            {"origin": "null", "sec-fetch-site": "cross-site"}, {}, id="no origin, another site"
        ),
        pytest.param({"sec-fetch-site": "cross-site"}, {}, id="another site"),
        pytest.param({"sec-fetch-site": "same-site"}, {}, id="a sibling's site"),
        pytest.param({"sec-fetch-site": "none"}, {}, id="no site"),
    ],
)
async def test_nobody_else_can_do_it(
    mock_provider: RunningProvider, headers: dict[str, str], fields: dict[str, str]
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        form = {**await forms(browser), **EVERYWHERE, **fields}
        reply = await browser.request(
            "POST", f"{APP}/.auth/sign_out", data=form, headers={"origin": APP, **headers}
        )
        assert reply.status_code == 400
        assert cleared_cookies(reply) == []
        assert await fixture.find_session(browser, APP) is not None
        assert await fixture.find_session(browser, AUTH) is not None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"origin": APP}, id="its origin"),
        pytest.param({"origin": APP, "sec-fetch-site": "same-origin"}, id="both"),
        pytest.param({"origin": "null", "sec-fetch-site": "same-origin"}, id="page without origin"),
        pytest.param({}, id="an old browser, with the token of the form"),
    ],
)
async def test_a_browser_can(mock_provider: RunningProvider, headers: dict[str, str]) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        form = {**await forms(browser), **EVERYWHERE}
        await browser.request("POST", f"{APP}/.auth/sign_out", data=form, headers=headers)
        assert await fixture.find_session(browser, APP) is None


async def test_the_token_of_another_session(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer) as fixture,
        fixture.browser() as one,
        fixture.browser() as other,
    ):
        await sign_in(one, APP)
        await sign_in(other, APP)
        stolen = await forms(other)
        reply = await one.request("POST", f"{APP}/.auth/sign_out", data={**stolen, **EVERYWHERE})
        assert reply.status_code == 400
        assert await fixture.find_session(one, APP) is not None


async def test_the_token_of_another_host_or_day(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        await sign_in(browser, WIKI)
        form = await forms(browser)
        reply = await browser.request("POST", f"{WIKI}/.auth/sign_out", data=form)
        assert reply.status_code == 400
        assert await fixture.find_session(browser, WIKI) is not None


async def test_a_return_address_of_the_query_is_not_followed(
    mock_provider: RunningProvider,
) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser, APP)
        url = f"{APP}/.auth/sign_out?rd=https://evil.example/"
        refused = await browser.request("POST", url, headers={"origin": APP})
        assert refused.status_code == 400
        done = await browser.request("POST", url, data={**await forms(browser), **EVERYWHERE})
        assert "evil" not in done.text + str(done.headers)
        for query in ("", "?rd=https://evil.example/", "?state=x", f"?state={'A' * 60}"):
            shown = await browser.get(f"{APP}/.auth/signed_out{query}")
            assert shown.status_code == 200
            assert "evil" not in shown.text


async def test_who_is_not_signed_in_is_signed_out(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        for method in ("GET", "POST"):
            reply = await browser.request(method, f"{APP}/.auth/sign_out")
            assert reply.headers["location"] == f"{APP}/.auth/signed_out"
