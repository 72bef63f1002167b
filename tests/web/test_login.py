"""The web edge: which methods and hosts are answered, what every answer carries, and that nothing
malformed gets past it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from authz_sidecar.core.browser_headers import ISOLATION_HEADERS
from authz_sidecar.web.login_app import login_router, public_router
from tests.servers.providers import RunningProvider, mock_provider
from tests.support.sign_in import APP, AUTH, SignInFixture, running_sign_in
from tests.support.sign_in_steps import sign_in, start_url

__all__ = ["mock_provider"]

# All that every answer says alike; a page's own forms need another `referrer-policy`.
UNCHANGED = {line for line in ISOLATION_HEADERS if line[0] != "referrer-policy"}
NOBODY = "http://localhost:9"
"""A provider that is never reached: most of these answers do not need one."""


def client(fixture: SignInFixture) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=fixture.transport(), base_url=APP)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("HEAD", "start?rd=/", 405, id="HEAD begins nothing"),
        pytest.param("PUT", "start", 405, id="PUT start"),
        pytest.param("DELETE", "sign_out", 405, id="DELETE sign_out"),
        pytest.param("POST", "handover", 405, id="POST handover"),
        pytest.param("POST", "choose", 405, id="POST choose"),
        pytest.param("OPTIONS", "callback", 405, id="OPTIONS callback"),
        pytest.param("HEAD", "callback", 405, id="HEAD callback"),
        pytest.param("HEAD", "callback/corp", 405, id="HEAD callback of a provider"),
        pytest.param("GET", "callback/", 404, id="callback of no provider"),
        pytest.param("GET", "callback/corp/", 404, id="callback with a slash at its end"),
        pytest.param("GET", "callback/a/b", 404, id="callback of two"),
        pytest.param("GET", "callback/a%2Fb", 404, id="callback with a slash in the name"),
        pytest.param("POST", "userinfo", 405, id="POST userinfo"),
        pytest.param("HEAD", "userinfo", 401, id="HEAD userinfo"),
        pytest.param("HEAD", "signed_out", 200, id="HEAD signed_out"),
        pytest.param("GET", "nothing", 404, id="unknown"),
        pytest.param("GET", "start/", 404, id="a slash more"),
        pytest.param("GET", "static/none.css", 404, id="no such asset"),
        pytest.param("GET", "static/../../login.py", 404, id="no way out of the assets"),
        pytest.param("GET", "static/..%2f..%2flogin.py", 404, id="no escaped way out"),
    ],
)
async def test_methods(method: str, path: str, status: int) -> None:
    async with running_sign_in(NOBODY) as fixture, client(fixture) as web:
        reply = await web.request(method, f"/.auth/{path}")
        assert reply.status_code == status
        assert reply.headers["cache-control"] == "no-store"
        assert ("allow" in reply.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc", "/metrics", "/", "/healthz"])
async def test_the_framework_shows_nothing_of_itself(path: str) -> None:
    async with running_sign_in(NOBODY) as fixture, client(fixture) as web:
        reply = await web.get(path)
        assert (reply.status_code, reply.content) == (404, b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"host": "app.example.com"}, 503, id="ours"),
        pytest.param({"host": "evil.example"}, 400, id="unknown host"),
        pytest.param({"host": "app.example.com:8443"}, 400, id="another port"),
        pytest.param({"x-forwarded-proto": "https"}, 503, id="its scheme"),
        pytest.param({"x-forwarded-proto": "http"}, 400, id="another scheme"),
        pytest.param({"x-forwarded-host": "evil.example"}, 503, id="not read: X-Forwarded-Host"),
        pytest.param({"forwarded": "host=evil.example"}, 503, id="not read: Forwarded"),
    ],
)
async def test_hosts(headers: dict[str, str], status: int) -> None:
    async with running_sign_in(NOBODY, auth_host=None) as fixture, client(fixture) as web:
        reply = await web.get("/.auth/start?rd=/", headers=headers)
        assert reply.status_code == status
        assert "evil" not in reply.text
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("rd=/a&rd=/b", id="rd twice"),
        pytest.param("rd=/a&attempt=1&attempt=2", id="attempt twice"),
        pytest.param("rd=/a&target_link_uri=/b&target_link_uri=/c", id="target twice"),
        pytest.param("attempt=x", id="attempt a word"),
        pytest.param("attempt=-1", id="attempt negative"),
        pytest.param("attempt=999", id="attempt too large"),
        pytest.param("rd=%ff", id="no UTF-8"),
        pytest.param("rd=%2F%0d%0aX:1", id="line break"),
        pytest.param("login_hint=%00", id="hint with a control byte"),
        pytest.param("login_hint=" + "x" * 300, id="endless hint"),
        pytest.param("request=a&choice=b", id="two sealed things"),
        pytest.param("&".join(f"a{n}=1" for n in range(60)), id="sixty fields"),
    ],
)
async def test_a_malformed_start(query: str) -> None:
    async with running_sign_in(NOBODY) as fixture, client(fixture) as web:
        reply = await web.get(f"/.auth/start?{query}")
        assert reply.status_code == 400
        assert "location" not in reply.headers


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        pytest.param({"content-type": "application/json"}, b"{}", "JSON", id="JSON"),
        pytest.param({"content-type": "text/plain"}, b"a=b", "text", id="text"),
        pytest.param({}, b"a=b", "nothing", id="no type"),
        pytest.param(
            {"content-type": "application/x-www-form-urlencoded"}, b"x" * 70_000, "long", id="long"
        ),
        pytest.param(
            {"content-type": "application/x-www-form-urlencoded"}, b"\xff=1", "bytes", id="bytes"
        ),
    ],
)
async def test_a_malformed_form(headers: dict[str, str], body: bytes, why: str) -> None:
    async with running_sign_in(NOBODY) as fixture, client(fixture) as web:
        for path in ("callback", "sign_out", "start"):
            reply = await web.post(f"/.auth/{path}", content=body, headers=headers)
            assert reply.status_code == 400, why


async def test_keys_robots_and_assets_are_the_same_for_everybody() -> None:
    async with running_sign_in(NOBODY) as fixture, client(fixture) as web:
        for path in ("/.auth/jwks.json", "/.well-known/pomerium/jwks.json"):
            reply = await web.get(path, headers={"host": "10.0.0.1:9181"})
            assert [key["alg"] for key in reply.json()["keys"]] == ["ES256"]
            assert reply.headers["content-type"] == "application/json"
        assert "Disallow: /" in (await web.get("/robots.txt")).text
        page = await web.get("/.auth/signed_out")
        sheet = page.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
        reply = await web.get(sheet)
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/css")


async def test_who_am_i(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        stranger = await browser.get(f"{APP}/.auth/userinfo")
        assert stranger.status_code == 401
        assert stranger.json()["error"] == "unauthenticated"
        assert (await browser.get(f"{APP}/.auth/")).status_code == 401

        await sign_in(browser)
        mine = await browser.get(f"{APP}/.auth/userinfo")
        assert mine.headers["cache-control"] == "no-store"
        told: dict[str, Any] = mine.json()
        assert (told["sub"], told["email"]) == ("alice", "alice@example.com")
        assert told["groups"] == ["admins", "staff"]
        text = json.dumps(told)
        assert "eyJ" not in text
        assert not {"id_token", "access_token", "nonce", "at_hash"} & told["claims"].keys()
        shown = await browser.get(f"{APP}/.auth/")
        assert "alice@example.com" in shown.text
        assert "eyJ" not in shown.text


async def test_every_page_has_the_headers_of_a_page(mock_provider: RunningProvider) -> None:
    async with running_sign_in(mock_provider.issuer) as fixture, fixture.browser() as browser:
        await sign_in(browser)
        for url in (
            f"{APP}/.auth/",
            f"{APP}/.auth/sign_out",
            f"{APP}/.auth/signed_out",
            f"{APP}/.auth/handover",
            f"{APP}/.auth/callback",
            f"{AUTH}/.auth/start?rd=https://evil.example/",
            start_url(APP, "/", attempt="4"),
        ):
            reply = await browser.get(url)
            assert "default-src 'none'" in reply.headers["content-security-policy"], url
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["x-frame-options"] == "DENY"
            assert reply.headers["cache-control"] == "no-store"
            assert "evil" not in reply.text


def apart(reply: httpx2.Response) -> dict[str, str]:
    """What an answer says about keeping it apart; each once."""
    lines = reply.headers.multi_items()
    named = [line for line in lines if line[0] in dict(ISOLATION_HEADERS)]
    assert len(named) == len(dict(named)), named
    return dict(named)


async def test_every_route_is_kept_apart_from_other_pages() -> None:
    async with running_sign_in(NOBODY, auth_host=None) as fixture:
        transport = httpx2.ASGITransport(app=fixture.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=APP) as web:
            routers = (login_router(base_path="/.auth"), public_router(base_path="/.auth"))
            routes = [route for router in routers for route in router.routes]
            paths = {route.path for route in routes if isinstance(route, Route)}
            assert {"/.auth/start", "/.auth/api/token", "/", "/robots.txt"} <= paths
            asked = [re.sub(r"{[^}]*}", "x", path) for path in paths]
            asked += ["/.auth/static/style.css", "/.auth/nothing", "/.auth/start?rd=%ff"]
            asked += ["/.auth/start?rd=/"]  # its provider is out of reach
            statuses = set()
            for path in asked:
                for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
                    reply = await web.request(method, path)
                    statuses.add(reply.status_code)
                    if reply.status_code in range(300, 400):
                        assert "cross-origin-opener-policy" not in reply.headers
                    elif path == "/.auth/static/style.css" and reply.status_code == 200:
                        # Also for the page that is sandboxed, and of no origin.
                        expected = {
                            **dict(ISOLATION_HEADERS),
                            "cross-origin-resource-policy": "cross-origin",
                        }
                        assert apart(reply) == expected
                    else:
                        assert apart(reply).items() >= UNCHANGED, (method, path)
            assert statuses >= {200, 303, 400, 401, 404, 405, 503}


async def test_a_failure_of_ours_is_kept_apart_as_well() -> None:
    def broken() -> dict[str, object]:
        raise RuntimeError("broken")

    async with running_sign_in(NOBODY) as fixture:
        fixture.app.state.services = replace(fixture.app.state.services, jwks=broken)
        transport = httpx2.ASGITransport(app=fixture.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=APP) as web:
            reply = await web.get("/.auth/jwks.json")
    assert (reply.status_code, reply.content) == (500, b"")
    assert apart(reply) == dict(ISOLATION_HEADERS)


async def test_a_frame_of_a_provider_can_be_shown_by_it() -> None:
    async with running_sign_in(NOBODY) as fixture, client(fixture) as web:
        reply = await web.get(f"/.auth/frontchannel-logout?iss={NOBODY}&sid=x")
    assert reply.status_code == 200
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    # HTML, "Navigation": of a sandboxed document, a browser shows none with an opener policy.
    assert "sandbox" in reply.headers["content-security-policy"]
    assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"


@pytest.mark.parametrize(
    ("url", "status", "leads_to"),
    [
        pytest.param(f"{APP}/.auth", 303, f"{APP}/.auth/", id="without its slash"),
        pytest.param(f"{AUTH}/", 303, f"{AUTH}/.auth/", id="the bare central host"),
        pytest.param(f"{APP}/", 404, None, id="the root of an app"),
    ],
)
async def test_addresses_beside_the_page(url: str, status: int, leads_to: str | None) -> None:
    async with running_sign_in(NOBODY) as fixture, fixture.browser() as browser:
        reply = await browser.get(url)
        assert (reply.status_code, reply.headers.get("location")) == (status, leads_to)
        assert reply.headers["cache-control"] == "no-store"


async def test_nothing_leads_away_from_a_central_host_with_an_app_of_its_own() -> None:
    async with (
        running_sign_in(NOBODY, routes=({"from": AUTH},)) as fixture,
        fixture.browser() as browser,
    ):
        assert (await browser.get(f"{AUTH}/")).status_code == 404


async def test_strangers_are_offered_to_sign_in() -> None:
    async with running_sign_in(NOBODY) as fixture, fixture.browser() as browser:
        shown = await browser.get(f"{APP}/.auth/")
        assert ">Sign in</a>" in shown.text
        assert "Try again" not in shown.text


async def test_trouble_says_when_to_come_back() -> None:
    async with running_sign_in(NOBODY, auth_host=None) as fixture, fixture.browser() as browser:
        shown = await browser.get(start_url(APP, "/"))
        assert (shown.status_code, shown.headers["retry-after"]) == (503, "5")
