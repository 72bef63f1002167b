"""The assertion for pages: whom it is given to, who else is told nothing, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest

from authz_sidecar.core.urls import parse_origin
from tests.support.sign_in import ADMIN, APP, AUTH, SignInFixture, running_sign_in
from tests.support.sign_in_steps import sign_in

if TYPE_CHECKING:
    import httpx2

    from tests.servers.browser import Browser
    from tests.servers.providers import RunningProvider

HERE = {"sec-fetch-site": "same-origin"}
URL = f"{APP}/.auth/api/assertion"
ROUTES = (
    {"from": APP, "identity_provider": "corp"},
    {
        "from": APP,
        "prefix": "/admin",
        "allow_any_authenticated_user": False,
        "policy": {"allow": {"and": [{"groups": {"has": "nobody"}}]}},
    },
    {"from": ADMIN},
)


async def get(browser: Browser, url: str = URL, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await browser.request("GET", url, headers={"accept": "*/*"} | HERE | named)


def said(fixture: SignInFixture, reply: httpx2.Response, audience: str) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_dict(fixture.signer.jwks())
    token = reply.json()["assertion"]
    claims: dict[str, Any] = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]].key,
        algorithms=["ES256"],
        audience=audience,
        issuer=audience,
        options={"verify_exp": False, "verify_iat": False},
    )
    return claims


async def test_a_page_of_the_host_is_given_it(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        for headers in ({}, {"origin": APP}, {"referer": f"{APP}/page?x=1"}):
            reply = await get(browser, **headers)
            assert reply.status_code == 200, reply.text
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in reply.headers
            claims = said(fixture, reply, "app.example.com")
            assert (claims["sub"], claims["email"]) == ("alice", "alice@example.com")
            assert reply.json()["expires_at"] == claims["exp"]
            assert 0 < reply.json()["expires_in"] <= 300
            assert set(reply.json()) == {"assertion", "expires_at", "expires_in"}


async def test_each_host_has_its_own(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        await sign_in(browser, ADMIN)
        mine = said(fixture, await get(browser), "app.example.com")
        other = await get(browser, f"{ADMIN}/.auth/api/assertion")
        assert said(fixture, other, "admin.example.com")["sid"] != mine["sid"]


async def test_without_fetch_metadata_the_origin_has_to_say_so(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        assert (await browser.get(URL, origin=APP)).status_code == 200
        assert (await browser.get(URL)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"sec_fetch_site": "cross-site"}, id="another site"),
        pytest.param({"sec_fetch_site": "same-site"}, id="a neighbour"),
        pytest.param({"sec_fetch_site": "none"}, id="typed in"),
        pytest.param({"sec_fetch_site": ""}, id="nothing"),
        pytest.param({"origin": ADMIN}, id="a neighbour's origin"),
        pytest.param({"origin": "null"}, id="a sandbox"),
        pytest.param({"origin": f"{APP}:443"}, id="another spelling"),
        pytest.param({"origin": f"{APP}.evil.example"}, id="a lookalike"),
    ],
)
async def test_other_pages_are_told_nothing(
    mock_provider: RunningProvider, headers: dict[str, str]
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        reply = await get(browser, **headers)
        assert reply.status_code == 401
        assert reply.json()["error"] == "cross-origin"
        assert "assertion" not in reply.json()
        assert "sign_in_url" not in reply.json()


async def test_nobody_signed_in_is_told_where_to(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        reply = await get(browser, referer=f"{APP}/page")
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert reply.json()["error"] == "unauthenticated"
        assert reply.json()["sign_in_url"].endswith("rd=https%3A%2F%2Fapp.example.com%2Fpage")


async def test_whoever_may_not_open_the_page_is_no_user_of_it(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        reply = await get(browser, referer=f"{APP}/admin/x")
        assert reply.status_code == 401
        assert reply.json()["error"] == "forbidden"
        elsewhere = await get(browser, referer="https://evil.example/admin")
        assert elsewhere.status_code == 200, "only the host's own pages are pages"


@pytest.mark.parametrize(
    ("page", "error"),
    [
        pytest.param("/docs/x", "forbidden", id="a page that asks for nobody"),
        pytest.param("/partners/x", "forbidden", id="a page for the people of another provider"),
        pytest.param("/maybe/x", None, id="a public page that is told who comes"),
    ],
)
async def test_it_says_no_more_than_the_page_is_told_of_them(
    mock_provider: RunningProvider, page: str, error: str | None
) -> None:
    public = {"allow_public_unauthenticated_access": True, "allow_any_authenticated_user": False}
    routes = (
        {"from": APP, "identity_provider": "corp"},
        {"from": APP, "identity_provider": "corp", "prefix": "/docs", **public},
        {
            "from": APP,
            "identity_provider": "partners",
            "prefix": "/partners",
            "identity": "optional",
            **public,
        },
        {
            "from": APP,
            "identity_provider": "corp",
            "prefix": "/maybe",
            "identity": "optional",
            **public,
        },
    )
    async with (
        running_sign_in(
            mock_provider.issuer, routes=routes, providers={"corp": {}, "partners": {}}
        ) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        reply = await get(browser, referer=f"{APP}{page}")
        assert reply.json().get("error") == error
        assert ("assertion" in reply.json()) is (error is None)


async def test_a_session_that_ended_says_nothing(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        parent = await fixture.find_session(browser, AUTH)
        assert parent is not None
        await fixture.context.sessions.end(parent)
        assert (await get(browser)).status_code == 401


async def test_another_hosts_cookie_opens_nothing(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        token = browser.cookies("app.example.com")["__Host-authz"]
        browser.client.cookies.set("__Host-authz", token, domain=parse_origin(ADMIN).host)
        assert (await get(browser, f"{ADMIN}/.auth/api/assertion")).status_code == 401


async def test_it_is_only_read(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            reply = await browser.request(method, URL, headers=HERE)
            assert reply.status_code == 405
            assert "access-control-allow-origin" not in reply.headers
