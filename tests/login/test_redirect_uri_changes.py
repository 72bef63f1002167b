"""Redirect URIs across an update, and before the operator has stated them: what was begun ends well
or on a page, what cannot begin says what to register, and everything else goes on."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.core.types import Identity
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.login_request import HOST_CHAIN_PURPOSE, LoginIntent, seal_intent
from authz_sidecar.login.transactions import LoginTransaction, transaction_id
from tests.servers.browser import page
from tests.servers.strict_provider import StrictProvider, running_strict_provider
from tests.support.sign_in import ADMIN, APP, AUTH, SignInFixture, running_sign_in
from tests.support.sign_in_steps import cleared_cookies, is_app_url, restart_link, start_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx2

    from tests.servers.browser import Browser

OWN, SHARED, UNSTATED = {"callback": "own"}, {"callback": "shared"}, {"callback": None}
ANYWHERE = pytest.mark.parametrize(
    "auth_host", [AUTH, None], ids=["central host", "each host for itself"]
)
GOLD = {"allow": {"and": [{"authentication": {"acr": "gold"}}]}}
ROUTES: tuple[dict[str, Any], ...] = (
    {"from": APP, "identity_provider": "corp", "command_line_tools": True},
    {
        "from": APP,
        "prefix": "/gold",
        "identity_provider": "corp",
        "allow_any_authenticated_user": False,
        "policy": [GOLD],
    },
    {"from": ADMIN, "identity_provider": "partners"},
)
TOOL = {
    "redirect_uri": "http://127.0.0.1:7777/",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}


@pytest.fixture
def corp() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-corp") as provider:
        yield provider


@pytest.fixture
def partners() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret-of-partners") as provider:
        yield provider


def settings(provider: StrictProvider, more: Mapping[str, Any]) -> dict[str, Any]:
    return {"issuer": provider.issuer, "client_secret": provider.client_secret, **more}


def alone(corp: StrictProvider, **more: Any) -> dict[str, Any]:
    """A house with one provider."""
    routes = tuple(route for route in ROUTES if route["identity_provider"] == "corp")
    return {"issuer": corp.issuer, "providers": {"corp": settings(corp, more)}, "routes": routes}


def two(
    corp: StrictProvider, partners: StrictProvider, *, of_corp: Mapping[str, Any]
) -> dict[str, Any]:
    """A house with two providers, each for a host."""
    providers = {"corp": settings(corp, of_corp), "partners": settings(partners, OWN)}
    return {"issuer": corp.issuer, "providers": providers, "routes": ROUTES}


async def signed_in(fixture: SignInFixture, browser: Browser) -> None:
    """A session on the app's host, without the doing of any provider."""
    origin = parse_origin(APP)
    token, _ = await fixture.context.sessions.create(
        identity=Identity(provider="corp", issuer=fixture.issuer, subject="alice"),
        scope=fixture.context.cookies.scope_for(origin),
        client="",
        user_agent="",
    )
    name = fixture.context.cookies.name_for("corp", origin)
    browser.client.cookies.set(name, token, domain=origin.host, path="/")


# One URI, however a sign-in begins


WAYS: dict[str, str] = {
    "a page": start_url(APP, "/x"),
    "another account": start_url(APP, "/x", switch="1"),
    "another attempt": start_url(APP, "/x", attempt="2"),
    "a third party": f"{APP}/.auth/start?{urlencode({'target_link_uri': f'{APP}/x'})}",
    "a page that asks for more": start_url(APP, "/gold"),
    "a command-line tool": f"{APP}/.auth/api/login?{urlencode(TOOL)}",
}


@ANYWHERE
@pytest.mark.parametrize("callback", ["own", "shared", None])
@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_begin_has_the_same_redirect_uri(
    corp: StrictProvider, auth_host: str | None, callback: str | None, way: str
) -> None:
    async with (
        running_sign_in(auth_host=auth_host, **alone(corp, callback=callback)) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.visit(WAYS[way], stop=lambda url: url.startswith(corp.issuer))
        path = "callback" if callback == "shared" else "callback/corp"
        [uri] = parse_qs(urlsplit(asked.headers["location"]).query)["redirect_uri"]
        assert uri == f"{auth_host or APP}/.auth/{path}"
        last = await browser.follow(asked, stop=is_app_url)
        assert corp.received, last.text


async def test_a_step_up_has_the_same_redirect_uri(corp: StrictProvider) -> None:
    async with (
        running_sign_in(auth_host=None, **alone(corp, **OWN)) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(fixture, browser)
        asked = await browser.get(start_url(APP, "/gold"))
        query = parse_qs(urlsplit(asked.headers["location"]).query)
        assert query["acr_values"] == ["gold"]
        assert query["redirect_uri"] == [f"{APP}/.auth/callback/corp"]
        state = query["state"][0]
        reply = await browser.get(f"{APP}/.auth/callback?code=c&state={state}")
        assert reply.status_code == 403
        assert corp.received == []


async def test_sign_out_has_the_address_it_had(corp: StrictProvider) -> None:
    corp.offers(end_session_endpoint=f"{corp.issuer}/logout")
    async with (
        running_sign_in(auth_host=None, **alone(corp, **OWN)) as fixture,
        fixture.browser() as browser,
    ):
        await browser.visit(start_url(APP, "/x"), stop=is_app_url)
        question = await browser.get(f"{APP}/.auth/sign_out")
        done = await browser.submit(question, {"scope": "everywhere"})
        onward = done.headers.get("location") or page(done).refresh
        query = parse_qs(urlsplit(str(onward)).query)
        assert query["post_logout_redirect_uri"] == [f"{APP}/.auth/signed_out"]


# Before the redirect URIs of several providers are stated


@ANYWHERE
async def test_a_provider_whose_uri_is_not_stated_has_a_page_that_names_it(
    corp: StrictProvider, partners: StrictProvider, auth_host: str | None
) -> None:
    async with (
        running_sign_in(auth_host=auth_host, **two(corp, partners, of_corp=UNSTATED)) as fixture,
        fixture.browser() as browser,
    ):
        reply = await browser.visit(start_url(APP, "/x"))
        assert reply.status_code == 503
        assert "This sign-in is not set up yet" in reply.text
        assert f"{auth_host or APP}/.auth/callback/corp as a redirect URI" in reply.text
        assert restart_link(reply).startswith(f"{APP}/.auth/start?rd=")
        assert corp.server.asked_for("/authorize") == 0
        assert not any("-flow-" in name for name in browser.cookies(urlsplit(AUTH).netloc))

        last = await browser.visit(start_url(ADMIN, "/x"), stop=is_app_url)
        assert last.headers["location"] == f"{ADMIN}/x", "the other provider signs in as ever"
        assert await fixture.find_session(browser, ADMIN, "partners") is not None


async def test_the_page_comes_also_while_the_provider_is_down(
    corp: StrictProvider, partners: StrictProvider
) -> None:
    corp.server.answers.clear()
    async with (
        running_sign_in(auth_host=None, **two(corp, partners, of_corp=UNSTATED)) as fixture,
        fixture.browser() as browser,
    ):
        reply = await browser.get(start_url(APP, "/x"))
        assert f"{APP}/.auth/callback/corp" in reply.text


async def test_sessions_go_on_without_it(corp: StrictProvider, partners: StrictProvider) -> None:
    async with (
        running_sign_in(auth_host=None, **two(corp, partners, of_corp=UNSTATED)) as fixture,
        fixture.browser() as browser,
    ):
        await signed_in(fixture, browser)
        reply = await browser.get(start_url(APP, "/x"))
        assert reply.headers["location"] == f"{APP}/x"
        assert await fixture.find_session(browser, APP) is not None


async def test_a_walk_passes_it_by(corp: StrictProvider, partners: StrictProvider) -> None:
    async with (
        running_sign_in(auth_host=None, **two(corp, partners, of_corp=UNSTATED)) as fixture,
        fixture.browser() as browser,
    ):
        intent = LoginIntent(return_to=f"{APP}/", walk=(f"{ADMIN}/x",), provider="corp")
        sealed = seal_intent(
            intent,
            fixture.keys,
            purpose=HOST_CHAIN_PURPOSE,
            origin=parse_origin(APP),
            expires_at=fixture.clock() + 60,
        )
        reply = await browser.get(f"{APP}/.auth/start?walk={sealed}")
        assert reply.headers["location"].startswith(f"{ADMIN}/")


async def test_a_shared_uri_waits_for_the_promise_of_its_provider(
    corp: StrictProvider, partners: StrictProvider
) -> None:
    async with (
        running_sign_in(auth_host=None, **two(corp, partners, of_corp=SHARED)) as fixture,
        fixture.browser() as browser,
    ):
        reply = await browser.get(start_url(APP, "/x"))
        assert reply.status_code == 503
        assert f"{APP}/.auth/callback/corp as a redirect URI" in reply.text
        assert corp.server.asked_for("/authorize") == 0
    corp.offers(promises_iss=True)
    corp.sends_iss = True
    async with (
        running_sign_in(auth_host=None, **two(corp, partners, of_corp=SHARED)) as fixture,
        fixture.browser() as browser,
    ):
        last = await browser.visit(start_url(APP, "/x"), stop=is_app_url)
        assert last.headers["location"] == f"{APP}/x"


@pytest.mark.parametrize("sends", [True, False], ids=["as it promised", "against its promise"])
@pytest.mark.parametrize("by", ["discovery", "setting"])
async def test_what_was_promised_is_required_at_a_uri_of_its_own_too(
    corp: StrictProvider, by: str, *, sends: bool
) -> None:
    corp.sends_iss = sends
    corp.offers(promises_iss=by == "discovery")
    more = {"authorization_response_iss": "required"} if by == "setting" else {}
    async with (
        running_sign_in(auth_host=None, **alone(corp, **more)) as fixture,
        fixture.browser() as browser,
    ):
        last = await browser.visit(start_url(APP, "/x"), stop=is_app_url)
        assert last.status_code == (303 if sends else 403)
        assert len(corp.received) == sends


# Attempts that were begun before the update


def begun_before(fixture: SignInFixture, browser: Browser, host: str) -> LoginTransaction:
    """An attempt as the release before sealed it, in the browser."""
    now, origin = fixture.clock(), parse_origin(host)
    attempt = LoginTransaction(
        id=transaction_id(now, b"123456"),
        secret=b"s" * 32,
        return_to=f"{APP}/x",
        started_at=now,
        provider="corp",
    )
    name = f"__Host-authz-flow-{attempt.id}"
    fields = ["corp", attempt.return_to, now, None, 0, 1, "", base64url_encode(attempt.secret), None, "", [],
              ""]  # fmt: skip
    binding = f"{origin} {name}".encode()
    value = fixture.keys.seal_text(
        "login attempt", json.dumps(fields).encode(), associated_data=binding
    )
    browser.client.cookies.set(name, value, domain=origin.host, path="/")
    return attempt


async def answered(
    corp: StrictProvider, browser: Browser, attempt: LoginTransaction, uri: str
) -> httpx2.Response:
    """The answer to it, after the update."""
    request = {
        "client_id": corp.client_id,
        "redirect_uri": uri,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": base64url_encode(sha256(attempt.verifier.encode()).digest()),
    }
    return await browser.visit(corp.authorization_url(request), stop=is_app_url)


@pytest.mark.parametrize("callback", ["own", "shared", None])
async def test_with_one_provider_they_end_well(corp: StrictProvider, callback: str | None) -> None:
    async with (
        running_sign_in(auth_host=None, **alone(corp, callback=callback)) as fixture,
        fixture.browser() as browser,
    ):
        attempt = begun_before(fixture, browser, APP)
        last = await answered(corp, browser, attempt, f"{APP}/.auth/callback")
        assert last.headers["location"] == f"{APP}/x"
        assert await fixture.find_session(browser, APP) is not None


async def test_they_do_not_count_at_the_new_uri(corp: StrictProvider) -> None:
    async with (
        running_sign_in(auth_host=None, **alone(corp, **OWN)) as fixture,
        fixture.browser() as browser,
    ):
        attempt = begun_before(fixture, browser, APP)
        last = await answered(corp, browser, attempt, f"{APP}/.auth/callback/corp")
        assert last.status_code == 403
        assert corp.received == []


@pytest.mark.parametrize("of_corp", [OWN, SHARED, UNSTATED], ids=["own", "shared", "unstated"])
async def test_with_several_providers_they_end_on_a_page(
    corp: StrictProvider, partners: StrictProvider, of_corp: Mapping[str, Any]
) -> None:
    async with (
        running_sign_in(auth_host=None, **two(corp, partners, of_corp=of_corp)) as fixture,
        fixture.browser() as browser,
    ):
        attempt = begun_before(fixture, browser, APP)
        last = await answered(corp, browser, attempt, f"{APP}/.auth/callback")
        assert last.status_code == 400
        assert "was updated while you were signing in" in last.text
        assert restart_link(last).startswith(f"{APP}/.auth/start?rd=")
        assert any(attempt.id in name for name in cleared_cookies(last))
        assert corp.received == []
