"""Logout at the provider's request, by its back channel and by a frame; and that it wins."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.login.claims import ClaimNames, ClaimRules
from tests.login.dishonest_provider import TamperedProvider
from tests.servers.hostile_provider import HostileProvider, document
from tests.support.sign_in import APP, AUTH, WIKI, SignInFixture, running_sign_in
from tests.support.sign_in_steps import (
    requested_nonce,
    requested_redirect_uri,
    requested_state,
    start_url,
)
from tests.support.signed_tokens import CLIENT_ID

if TYPE_CHECKING:
    import httpx2

    from tests.servers.browser import Browser

SID = "provider-session"
USER_BY_EMAIL = {"claims": ClaimRules(names=ClaimNames(user="email"), allow_unverified_email=True)}


@pytest.fixture
def tampered_provider(hostile_provider: HostileProvider) -> TamperedProvider:
    return TamperedProvider(hostile_provider)


async def signed_in(
    browser: Browser, tampered_provider: TamperedProvider, *, host: str = APP, **claims: object
) -> httpx2.Response:
    """The answer to the callback of a sign-in without a central host."""
    asked = await browser.get(start_url(host, "/"))
    token = tampered_provider.id_token(nonce=await requested_nonce(asked), **{"sid": SID, **claims})
    tampered_provider.set_token_response(id_token=token)
    uri = await requested_redirect_uri(asked)
    return await browser.get(f"{uri}?code=c&state={await requested_state(asked)}")


async def logout(fixture: SignInFixture, token: str, **more: Any) -> httpx2.Response:
    """As the provider sends it: no cookie, no browser."""
    async with fixture.browser() as nobody:
        options: dict[str, Any] = {"data": {"logout_token": token}, **more}
        return await nobody.request("POST", f"{APP}/.auth/backchannel-logout", **options)


async def test_one_session_of_the_provider(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as one,
        fixture.browser() as other,
    ):
        await signed_in(one, tampered_provider)
        await signed_in(one, tampered_provider, host=WIKI)
        await signed_in(other, tampered_provider, sid="another")
        done = await logout(fixture, tampered_provider.logout_token(sub="alice"))
        assert (done.status_code, done.headers["cache-control"]) == (200, "no-store")
        assert await fixture.find_session(one, APP) is None
        assert await fixture.find_session(one, WIKI) is None
        assert await fixture.find_session(other, APP) is not None


async def test_all_sessions_of_the_user(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as one,
        fixture.browser() as other,
    ):
        await signed_in(one, tampered_provider, sid=None)
        await signed_in(other, tampered_provider, sid="another")
        assert (
            await logout(fixture, tampered_provider.logout_token(sub="alice", sid=None))
        ).status_code == 200
        assert await fixture.find_session(one, APP) is None
        assert await fixture.find_session(other, APP) is None


async def test_a_user_whom_we_know_by_another_claim(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(
            tampered_provider.server.issuer, auth_host=None, providers={"corp": USER_BY_EMAIL}
        ) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(browser, tampered_provider, email="alice@example.com", sid=None)
        session = await fixture.find_session(browser, APP)
        assert session is not None
        assert session.identity.subject == "alice@example.com"
        assert (
            await logout(fixture, tampered_provider.logout_token(sub="bob", sid=None))
        ).status_code == 200
        assert await fixture.find_session(browser, APP) is not None
        assert (
            await logout(fixture, tampered_provider.logout_token(sub="alice", sid=None))
        ).status_code == 200
        assert await fixture.find_session(browser, APP) is None


async def test_every_host_of_a_central_sign_in(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.get(start_url(APP, "/"))
        asked = await browser.get(asked.headers["location"])
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(nonce=await requested_nonce(asked), sid=SID)
        )
        back = await browser.get(
            f"{AUTH}/.auth/callback/corp?code=c&state={await requested_state(asked)}"
        )
        await browser.get(back.headers["location"])
        assert await fixture.find_session(browser, APP) is not None
        assert (await logout(fixture, tampered_provider.logout_token())).status_code == 200
        assert await fixture.find_session(browser, APP) is None
        assert await fixture.find_session(browser, AUTH) is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"nonce": "n"}, id="nonce"),
        pytest.param({"sid": None}, id="about nobody"),
        pytest.param({"events": {}}, id="no event"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"aud": "other"}, id="for another client"),
        pytest.param({"iss": "http://localhost:1"}, id="of another issuer"),
        pytest.param({"header": {"kid": "unknown"}}, id="of an unknown key"),
        pytest.param({"header": {"typ": "at+jwt"}}, id="an access token"),
    ],
)
async def test_refused_tokens_end_nothing(
    tampered_provider: TamperedProvider, changes: dict[str, Any]
) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(browser, tampered_provider)
        held = len(fixture.store)
        refused = await logout(fixture, tampered_provider.logout_token(**changes))
        assert (refused.status_code, refused.headers["cache-control"]) == (400, "no-store")
        assert refused.json() == {"error": "invalid_request"}
        assert await fixture.find_session(browser, APP) is not None
        assert len(fixture.store) == held, "strangers leave nothing behind"


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"data": {}}, id="no token"),
        pytest.param({"data": {"logout_token": ""}}, id="empty"),
        pytest.param({"data": {"logout_token": ["a.b.c", "d.e.f"]}}, id="twice"),
        pytest.param({"data": None, "json": {"logout_token": "x"}}, id="JSON"),
        pytest.param({"data": {"logout_token": "x" * 70_000}}, id="huge"),
        pytest.param({"data": {"logout_token": "a.b.c"}}, id="garbage"),
    ],
)
async def test_malformed_requests(
    tampered_provider: TamperedProvider, request_: dict[str, Any]
) -> None:
    async with running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture:
        refused = await logout(fixture, "", **request_)
        assert (refused.status_code, refused.headers["cache-control"]) == (400, "no-store")
        assert tampered_provider.server.asked_for("/jwks") == 0


async def test_only_by_post(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(browser, tampered_provider)
        url = f"{APP}/.auth/backchannel-logout?logout_token={tampered_provider.logout_token()}"
        assert (await browser.get(url)).status_code == 405
        assert await fixture.find_session(browser, APP) is not None


async def test_a_token_is_good_once(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(browser, tampered_provider)
        token = tampered_provider.logout_token(sub="alice", sid=None)
        assert (await logout(fixture, token)).status_code == 200
        await signed_in(browser, tampered_provider)
        assert (await logout(fixture, token)).status_code == 400
        assert await fixture.find_session(browser, APP) is not None


async def test_what_failed_half_way_may_be_sent_again(tampered_provider: TamperedProvider) -> None:
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(browser, tampered_provider)
        token, read = tampered_provider.logout_token(), fixture.store.add_to_index

        async def away(*_: object, **__: object) -> None:
            raise StoreUnavailable("away")

        fixture.store.add_to_index = away  # type: ignore[method-assign]
        failed = await logout(fixture, token)
        assert (failed.status_code, failed.json()) == (503, {"error": "server_error"})
        fixture.store.add_to_index = read  # type: ignore[method-assign]
        assert (await logout(fixture, token)).status_code == 200
        assert await fixture.find_session(browser, APP) is None


async def test_the_provider_is_down_and_its_keys_unknown(
    tampered_provider: TamperedProvider,
) -> None:
    token = tampered_provider.logout_token()
    tampered_provider.server.answers.clear()
    async with running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture:
        assert (await logout(fixture, token)).status_code == 503


async def test_providers_that_share_an_issuer(tampered_provider: TamperedProvider) -> None:
    providers: dict[str, Any] = {"corp": {}, "same": {}, "other": {"client_id": "other"}}
    routes = tuple(
        {"from": f"https://{name}.example.com", "identity_provider": name} for name in providers
    )
    hosts = [str(route["from"]) for route in routes]
    async with (
        running_sign_in(
            tampered_provider.server.issuer, auth_host=None, providers=providers, routes=routes
        ) as fixture,
        fixture.browser(*hosts) as browser,
    ):
        for host, name in zip(hosts, providers, strict=True):
            client = "other" if name == "other" else CLIENT_ID
            reply = await signed_in(browser, tampered_provider, host=host, aud=client)
            assert reply.status_code == 303, reply.text
        async with fixture.browser(*hosts) as nobody:
            done = await nobody.request(
                "POST",
                f"{hosts[0]}/.auth/backchannel-logout",
                data={"logout_token": tampered_provider.logout_token()},
            )
        assert done.status_code == 200
        alive = [
            await fixture.find_session(browser, host, name) is not None
            for host, name in zip(hosts, providers, strict=True)
        ]
        assert alive == [False, False, True]


@pytest.mark.parametrize(
    ("about", "wins"),
    [
        pytest.param({}, True, id="this session"),
        pytest.param({"sub": "alice", "sid": None}, True, id="this user"),
        pytest.param({"sid": "another"}, False, id="another session"),
        pytest.param({"sub": "bob", "sid": None}, False, id="another user"),
    ],
)
async def test_a_logout_wins_against_a_sign_in_under_way(
    tampered_provider: TamperedProvider, about: dict[str, Any], *, wins: bool
) -> None:
    """The provider has answered, the session is not made yet, and then the logout arrives."""
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        # A logout of long ago is forgiven; only what comes in the middle counts.
        assert (
            await logout(fixture, tampered_provider.logout_token(sub="alice", sid=None))
        ).status_code == 200
        asked = await browser.get(start_url(APP, "/"))
        tampered_provider.set_token_response(
            id_token=tampered_provider.id_token(nonce=await requested_nonce(asked), sid=SID)
        )
        hold, userinfo = threading.Event(), document({"sub": "alice"})
        tampered_provider.server.answers["/userinfo"] = replace(userinfo, delay=hold)
        callback = asyncio.ensure_future(
            browser.get(f"{APP}/.auth/callback/corp?code=c&state={await requested_state(asked)}")
        )
        while not tampered_provider.server.asked_for("/userinfo"):  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)
        assert (await logout(fixture, tampered_provider.logout_token(**about))).status_code == 200
        hold.set()
        landed = await callback
        assert (landed.status_code == 403) is wins, landed.text
        assert (await fixture.find_session(browser, APP) is None) is wins
        if wins:  # and signing in once more works
            tampered_provider.server.answers["/userinfo"] = userinfo
            assert (await signed_in(browser, tampered_provider)).status_code == 303
            assert await fixture.find_session(browser, APP) is not None


def frame(issuer: str, sid: str = SID) -> str:
    return f"{APP}/.auth/frontchannel-logout?iss={quote(issuer, safe='')}&sid={sid}"


async def test_a_frame_of_the_provider(tampered_provider: TamperedProvider) -> None:
    issuer = tampered_provider.server.issuer
    async with running_sign_in(issuer, auth_host=None) as fixture, fixture.browser() as browser:
        await signed_in(browser, tampered_provider)
        async with fixture.browser() as without_cookies:
            shown = await without_cookies.get(frame(issuer))
        assert shown.status_code == 200
        assert shown.headers["cache-control"] == "no-store"
        assert "x-frame-options" not in shown.headers
        assert "frame-ancestors" not in shown.headers["content-security-policy"]
        assert await fixture.find_session(browser, APP) is None


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("", 400, id="nothing"),
        pytest.param("iss={issuer}", 400, id="no sid"),
        pytest.param(f"sid={SID}", 400, id="no issuer"),
        pytest.param("iss={issuer}&sid=", 400, id="empty sid"),
        pytest.param("iss={issuer}&sid=" + "s" * 300, 400, id="endless sid"),
        pytest.param("iss={issuer}&sid=a&sid=b", 400, id="sid twice"),
        pytest.param("iss={issuer}&sid=other", 200, id="a session we do not know"),
        pytest.param(f"iss=http://evil.example&sid={SID}", 200, id="an issuer we do not know"),
    ],
)
async def test_a_frame_that_ends_nothing(
    tampered_provider: TamperedProvider, query: str, status: int
) -> None:
    issuer = tampered_provider.server.issuer
    async with running_sign_in(issuer, auth_host=None) as fixture, fixture.browser() as browser:
        await signed_in(browser, tampered_provider)
        held = len(fixture.store)
        url = f"{APP}/.auth/frontchannel-logout?{query.format(issuer=quote(issuer, safe=''))}"
        assert (await browser.get(url)).status_code == status
        assert await fixture.find_session(browser, APP) is not None
        assert len(fixture.store) == held, "strangers leave nothing behind"


async def test_an_ended_session_was_indexed_by_its_own_host(
    tampered_provider: TamperedProvider,
) -> None:
    """What the gate would find is what counts: under the origin that the cookie is for."""
    async with (
        running_sign_in(tampered_provider.server.issuer, auth_host=None) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(browser, tampered_provider)
        token = browser.cookies("app.example.com")["__Host-authz"]
        await logout(fixture, tampered_provider.logout_token())
        assert await fixture.find_session_by_token(token, parse_origin(APP)) is None
