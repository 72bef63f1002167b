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
from tests.login.dishonest_provider import Lies
from tests.servers.hostile_provider import HostileProvider, document
from tests.support.sign_in import APP, AUTH, WIKI, House, house
from tests.support.sign_in_steps import nonce_of, redirect_uri_of, start, state_of
from tests.support.signed_tokens import CLIENT_ID

if TYPE_CHECKING:
    import httpx2

    from tests.servers.browser import Browser

SID = "provider-session"
USER_BY_EMAIL = {"claims": ClaimRules(names=ClaimNames(user="email"), allow_unverified_email=True)}


@pytest.fixture
def lies(hostile: HostileProvider) -> Lies:
    return Lies(hostile)


async def signed_in(
    browser: Browser, lies: Lies, *, host: str = APP, **claims: object
) -> httpx2.Response:
    """The answer to the callback of a sign-in without a central host."""
    asked = await browser.get(start(host, "/"))
    token = lies.id_token(nonce=await nonce_of(asked), **{"sid": SID, **claims})
    lies.token(id_token=token)
    uri = await redirect_uri_of(asked)
    return await browser.get(f"{uri}?code=c&state={await state_of(asked)}")


async def logout(at: House, token: str, **more: Any) -> httpx2.Response:
    """As the provider sends it: no cookie, no browser."""
    async with at.browser() as nobody:
        options: dict[str, Any] = {"data": {"logout_token": token}, **more}
        return await nobody.request("POST", f"{APP}/.auth/backchannel-logout", **options)


async def test_one_session_of_the_provider(lies: Lies) -> None:
    async with (
        house(lies.provider.issuer, auth_host=None) as at,
        at.browser() as one,
        at.browser() as other,
    ):
        await signed_in(one, lies)
        await signed_in(one, lies, host=WIKI)
        await signed_in(other, lies, sid="another")
        done = await logout(at, lies.logout_token(sub="alice"))
        assert (done.status_code, done.headers["cache-control"]) == (200, "no-store")
        assert await at.session(one, APP) is None
        assert await at.session(one, WIKI) is None
        assert await at.session(other, APP) is not None


async def test_all_sessions_of_the_user(lies: Lies) -> None:
    async with (
        house(lies.provider.issuer, auth_host=None) as at,
        at.browser() as one,
        at.browser() as other,
    ):
        await signed_in(one, lies, sid=None)
        await signed_in(other, lies, sid="another")
        assert (await logout(at, lies.logout_token(sub="alice", sid=None))).status_code == 200
        assert await at.session(one, APP) is None
        assert await at.session(other, APP) is None


async def test_a_user_whom_we_know_by_another_claim(lies: Lies) -> None:
    async with (
        house(lies.provider.issuer, auth_host=None, providers={"corp": USER_BY_EMAIL}) as at,
        at.browser() as browser,
    ):
        await signed_in(browser, lies, email="alice@example.com", sid=None)
        session = await at.session(browser, APP)
        assert session is not None
        assert session.identity.subject == "alice@example.com"
        assert (await logout(at, lies.logout_token(sub="bob", sid=None))).status_code == 200
        assert await at.session(browser, APP) is not None
        assert (await logout(at, lies.logout_token(sub="alice", sid=None))).status_code == 200
        assert await at.session(browser, APP) is None


async def test_every_host_of_a_central_sign_in(lies: Lies) -> None:
    async with house(lies.provider.issuer) as at, at.browser() as browser:
        asked = await browser.get(start(APP, "/"))
        asked = await browser.get(asked.headers["location"])
        lies.token(id_token=lies.id_token(nonce=await nonce_of(asked), sid=SID))
        back = await browser.get(f"{AUTH}/.auth/callback/corp?code=c&state={await state_of(asked)}")
        await browser.get(back.headers["location"])
        assert await at.session(browser, APP) is not None
        assert (await logout(at, lies.logout_token())).status_code == 200
        assert await at.session(browser, APP) is None
        assert await at.session(browser, AUTH) is None


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
async def test_refused_tokens_end_nothing(lies: Lies, changes: dict[str, Any]) -> None:
    async with house(lies.provider.issuer, auth_host=None) as at, at.browser() as browser:
        await signed_in(browser, lies)
        held = len(at.store)
        refused = await logout(at, lies.logout_token(**changes))
        assert (refused.status_code, refused.headers["cache-control"]) == (400, "no-store")
        assert refused.json() == {"error": "invalid_request"}
        assert await at.session(browser, APP) is not None
        assert len(at.store) == held, "strangers leave nothing behind"


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
async def test_malformed_requests(lies: Lies, request_: dict[str, Any]) -> None:
    async with house(lies.provider.issuer, auth_host=None) as at:
        refused = await logout(at, "", **request_)
        assert (refused.status_code, refused.headers["cache-control"]) == (400, "no-store")
        assert lies.provider.asked_for("/jwks") == 0


async def test_only_by_post(lies: Lies) -> None:
    async with house(lies.provider.issuer, auth_host=None) as at, at.browser() as browser:
        await signed_in(browser, lies)
        url = f"{APP}/.auth/backchannel-logout?logout_token={lies.logout_token()}"
        assert (await browser.get(url)).status_code == 405
        assert await at.session(browser, APP) is not None


async def test_a_token_is_good_once(lies: Lies) -> None:
    async with house(lies.provider.issuer, auth_host=None) as at, at.browser() as browser:
        await signed_in(browser, lies)
        token = lies.logout_token(sub="alice", sid=None)
        assert (await logout(at, token)).status_code == 200
        await signed_in(browser, lies)
        assert (await logout(at, token)).status_code == 400
        assert await at.session(browser, APP) is not None


async def test_what_failed_half_way_may_be_sent_again(lies: Lies) -> None:
    async with house(lies.provider.issuer, auth_host=None) as at, at.browser() as browser:
        await signed_in(browser, lies)
        token, read = lies.logout_token(), at.store.index

        async def away(*_: object, **__: object) -> None:
            raise StoreUnavailable("away")

        at.store.index = away  # type: ignore[method-assign]
        failed = await logout(at, token)
        assert (failed.status_code, failed.json()) == (503, {"error": "server_error"})
        at.store.index = read  # type: ignore[method-assign]
        assert (await logout(at, token)).status_code == 200
        assert await at.session(browser, APP) is None


async def test_the_provider_is_down_and_its_keys_unknown(lies: Lies) -> None:
    token = lies.logout_token()
    lies.provider.answers.clear()
    async with house(lies.provider.issuer, auth_host=None) as at:
        assert (await logout(at, token)).status_code == 503


async def test_providers_that_share_an_issuer(lies: Lies) -> None:
    providers: dict[str, Any] = {"corp": {}, "same": {}, "other": {"client_id": "other"}}
    routes = tuple(
        {"from": f"https://{name}.example.com", "identity_provider": name} for name in providers
    )
    hosts = [str(route["from"]) for route in routes]
    async with (
        house(lies.provider.issuer, auth_host=None, providers=providers, routes=routes) as at,
        at.browser(*hosts) as browser,
    ):
        for host, name in zip(hosts, providers, strict=True):
            client = "other" if name == "other" else CLIENT_ID
            reply = await signed_in(browser, lies, host=host, aud=client)
            assert reply.status_code == 303, reply.text
        async with at.browser(*hosts) as nobody:
            done = await nobody.request(
                "POST",
                f"{hosts[0]}/.auth/backchannel-logout",
                data={"logout_token": lies.logout_token()},
            )
        assert done.status_code == 200
        alive = [
            await at.session(browser, host, name) is not None
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
    lies: Lies, about: dict[str, Any], *, wins: bool
) -> None:
    """The provider has answered, the session is not made yet, and then the logout arrives."""
    async with house(lies.provider.issuer, auth_host=None) as at, at.browser() as browser:
        # A logout of long ago is forgiven; only what comes in the middle counts.
        assert (await logout(at, lies.logout_token(sub="alice", sid=None))).status_code == 200
        asked = await browser.get(start(APP, "/"))
        lies.token(id_token=lies.id_token(nonce=await nonce_of(asked), sid=SID))
        hold, userinfo = threading.Event(), document({"sub": "alice"})
        lies.provider.answers["/userinfo"] = replace(userinfo, delay=hold)
        callback = asyncio.ensure_future(
            browser.get(f"{APP}/.auth/callback/corp?code=c&state={await state_of(asked)}")
        )
        while not lies.provider.asked_for("/userinfo"):  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)
        assert (await logout(at, lies.logout_token(**about))).status_code == 200
        hold.set()
        landed = await callback
        assert (landed.status_code == 403) is wins, landed.text
        assert (await at.session(browser, APP) is None) is wins
        if wins:  # and signing in once more works
            lies.provider.answers["/userinfo"] = userinfo
            assert (await signed_in(browser, lies)).status_code == 303
            assert await at.session(browser, APP) is not None


def frame(issuer: str, sid: str = SID) -> str:
    return f"{APP}/.auth/frontchannel-logout?iss={quote(issuer, safe='')}&sid={sid}"


async def test_a_frame_of_the_provider(lies: Lies) -> None:
    issuer = lies.provider.issuer
    async with house(issuer, auth_host=None) as at, at.browser() as browser:
        await signed_in(browser, lies)
        async with at.browser() as without_cookies:
            shown = await without_cookies.get(frame(issuer))
        assert shown.status_code == 200
        assert shown.headers["cache-control"] == "no-store"
        assert "x-frame-options" not in shown.headers
        assert "frame-ancestors" not in shown.headers["content-security-policy"]
        assert await at.session(browser, APP) is None


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
async def test_a_frame_that_ends_nothing(lies: Lies, query: str, status: int) -> None:
    issuer = lies.provider.issuer
    async with house(issuer, auth_host=None) as at, at.browser() as browser:
        await signed_in(browser, lies)
        held = len(at.store)
        url = f"{APP}/.auth/frontchannel-logout?{query.format(issuer=quote(issuer, safe=''))}"
        assert (await browser.get(url)).status_code == status
        assert await at.session(browser, APP) is not None
        assert len(at.store) == held, "strangers leave nothing behind"


async def test_an_ended_session_was_indexed_by_its_own_host(lies: Lies) -> None:
    """What the gate would find is what counts: under the origin that the cookie is for."""
    async with house(lies.provider.issuer, auth_host=None) as at, at.browser() as browser:
        await signed_in(browser, lies)
        token = browser.cookies("app.example.com")["__Host-authz"]
        await logout(at, lies.logout_token())
        assert await at.session_of(token, parse_origin(APP)) is None
