"""The snippets of `docs/spa.md` in a real browser, through a real proxy, against the certified
provider: an app on one host, its API on another, and a rule that asks for a second factor."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.conftest import Stage, running_stage, unavailable
from tests.servers.nginx import Nginx
from tests.servers.providers import CLIENT_ID, CLIENT_SECRET, running_certified_provider
from tests.servers.proxy import APP_HOST, AUTH_HOST, GROUP_HOST
from tests.servers.sidecar import running_sidecar
from tests.servers.wire import answer_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.certificate import Certificate

pytestmark = pytest.mark.xdist_group("nginx")

PAGE = (Path(__file__).parents[2] / "docs" / "spa.md").read_text()
SNIPPETS = re.findall(r"^```js\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MODULE = "\n".join(text for text in SNIPPETS if not text.startswith("await "))
APP, API = f"https://{APP_HOST}", f"https://{GROUP_HOST}"
GOLD = {"authentication": {"acr": ["gold"]}}

SHELL = """<!doctype html><html lang="en"><title>The app</title><h1>The app</h1>
<button id="sign-in-again" hidden>Sign in again</button><output id="out"></output>
<script type="module">
import * as authz from "/authz.js";
window.authz = authz;
document.querySelector("h1").textContent = "ready";
</script>"""


def configuration(issuer: str, *, fast_lane: bool) -> dict[str, Any]:
    allow = {"allow": {"and": [{"authenticated_user": True}]}}
    return {
        "server": {
            "fast_lane": fast_lane,
            "adapters": ["nginx"],
            "auth_host": f"https://{AUTH_HOST}",
        },
        "identity_providers": {
            "corp": {
                "type": "oidc",
                "issuer": issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "callback": "own",
                "scopes": ["openid", "profile", "email"],
            }
        },
        "routes": [
            {"from": APP, "policy": [allow], "depends_on": [API]},
            {"from": APP, "prefix": "/secret", "policy": [{"allow": {"and": [GOLD]}}]},
            {
                "from": API,
                "policy": [allow],
                "cors_allow_preflight": True,
                "allowed_origins": [APP],
            },
            {
                "from": API,
                "prefix": "/pay",
                "policy": [{"allow": {"and": [GOLD]}}],
                "cors_allow_preflight": True,
                "allowed_origins": [APP],
            },
        ],
    }


@pytest.fixture(scope="module")
def stage(
    certificate: Certificate, tmp_path_factory: pytest.TempPathFactory, *, fast_lane: bool
) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("spa")
    origins = (f"https://{AUTH_HOST}",)
    with (
        running_certified_provider(directory, redirect_origins=origins) as provider,
        running_sidecar(configuration(provider.issuer, fast_lane=fast_lane), directory) as sidecar,
        running_stage(
            Nginx(), directory, certificate=certificate, provider=provider, sidecar=sidecar
        ) as stage,
    ):
        yield stage


@pytest.fixture
def page(stage: Stage) -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        unavailable("chromium is not installed")
    stage.clear()
    html = [("Content-Type", "text/html; charset=utf-8")]
    for target in ("/", "/page?a=1"):
        stage.app.answer(target, answer_bytes("200 OK", html, SHELL.encode()))
    script = [("Content-Type", "text/javascript")]
    stage.app.answer("/authz.js", answer_bytes("200 OK", script, MODULE.encode()))
    cors = [
        ("Access-Control-Allow-Origin", APP),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Methods", "GET, PUT"),
        ("Access-Control-Allow-Headers", "content-type"),
        ("Content-Type", "application/json"),
    ]
    for target in ("/data", "/pay", "/secret"):
        stage.app.answer(target, answer_bytes("200 OK", cors, b'{"data": 1}'))
    rules = (
        f"MAP *.example.com:443 127.0.0.1:{stage.port}, MAP {AUTH_HOST}:443 127.0.0.1:{stage.port}"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--no-first-run", f"--host-resolver-rules={rules}"],
        )
        try:
            context = browser.new_context(ignore_https_errors=True)
            context.set_default_timeout(20_000)
            yield context.new_page()
        finally:
            browser.close()


def at_provider(page: Page, *, second_factor: bool = False) -> None:
    page.wait_for_url("http://localhost:*/interaction/**")
    page.get_by_label("User").fill("alice")
    if second_factor:
        page.get_by_label("With second factor").check()
    page.get_by_role("button", name="Sign in").click()


def open_app(page: Page, target: str = "/page?a=1") -> None:
    page.goto(f"{APP}{target}")
    at_provider(page)
    page.wait_for_url(f"{APP}{target}")
    page.get_by_text("ready").wait_for()


def fetched(page: Page, url: str, options: str = "{}") -> dict[str, Any]:
    """Status, JSON and headers as a script of the page sees them; `blocked` where it sees none."""
    code = """async ([url, options]) => {
      try {
        const answer = await fetch(url, {credentials: "include", ...JSON.parse(options)});
        const told = await answer.json().catch(() => null);
        return {status: answer.status, told, headers: Object.fromEntries(answer.headers)};
      } catch { return {blocked: true}; }
    }"""
    result: dict[str, Any] = page.evaluate(code, [url, options])
    return result


def test_one_sign_in_opens_the_api_as_well(stage: Stage, page: Page) -> None:
    open_app(page)
    assert fetched(page, f"{API}/data")["told"] == {"data": 1}
    plain = json.dumps({"method": "PUT", "headers": {"content-type": "application/json"}})
    assert fetched(page, f"{API}/data", plain)["status"] == 200
    methods = [message.method for message in stage.app.received if message.target == "/data"]
    assert methods == ["GET", "OPTIONS", "PUT"], "the preflight reached the API, without a cookie"


def test_a_script_of_the_app_reads_why_not_and_others_do_not(page: Page, stage: Stage) -> None:
    open_app(page)
    refused = fetched(page, f"{API}/pay")
    assert refused["status"] == 401
    assert refused["told"]["error"] == "insufficient_user_authentication"
    assert refused["told"]["acr_values"] == ["gold"]
    assert refused["told"]["sign_in_url"].startswith(f"{API}/.auth/start?rd=")
    assert 'acr_values="gold"' in refused["headers"]["www-authenticate"]
    page.goto(f"{API}/data")
    assert fetched(page, f"{APP}/secret") == {"blocked": True}
    assert stage.kind.name == "nginx"


def test_leave_step_up_and_come_back(page: Page) -> None:
    open_app(page)
    page.evaluate("void window.authz.call('/secret')")
    at_provider(page, second_factor=True)
    page.wait_for_url(f"{APP}/page?a=1")
    page.get_by_text("ready").wait_for()
    assert fetched(page, "/secret")["told"] == {"data": 1}
    assert fetched(page, f"{API}/pay")["told"] == {"data": 1}, "the API followed"


def test_leave_step_up_on_another_host_and_come_back(page: Page) -> None:
    open_app(page)
    page.evaluate(f"void window.authz.call('{API}/pay')")
    at_provider(page, second_factor=True)
    page.wait_for_url(f"{APP}/page?a=1")
    page.get_by_text("ready").wait_for()
    assert fetched(page, f"{API}/pay")["told"] == {"data": 1}


def test_a_step_up_that_the_provider_does_not_give_ends_on_a_page(page: Page) -> None:
    open_app(page)
    page.goto(f"{APP}/secret")
    at_provider(page)
    page.get_by_text("not in the way that this page asks for").wait_for()
    assert page.url.startswith(f"https://{AUTH_HOST}/.auth/callback")
    assert "gold" in page.locator("main").inner_text()
    page.goto(f"{APP}/page?a=1")
    assert page.url == f"{APP}/page?a=1", "the session that there was is gone"


def test_stay_and_sign_in_in_another_window(page: Page) -> None:
    open_app(page)
    page.get_by_text("ready").wait_for()
    example = next(text for text in SNIPPETS if text.startswith("await "))
    code = example.replace("/api/data", "/secret").replace(
        "await stay", "return window.authz.stay", 1
    )
    page.evaluate("window.mark = 'still here'")
    page.evaluate(
        f"void (async () => {{ const answer = await (async () => {{ {code} }})();"
        " document.querySelector('#out').textContent = 'got ' + answer.status; })()"
    )
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Sign in again").click()
    popup = opened.value
    at_provider(popup, second_factor=True)
    page.get_by_text("got 200").wait_for()
    assert page.evaluate("window.mark") == "still here"
    assert popup.is_closed() or popup.wait_for_event("close") is None


def test_the_assertion_in_a_page(page: Page) -> None:
    open_app(page)
    token = page.evaluate("window.authz.assertion()")
    assert token.count(".") == 2
    assert page.evaluate("window.authz.assertion()") == token, "asked again while it is good"
    timer = page.evaluate("window.authz.keepAlive()")
    assert isinstance(timer, int)
    assert fetched(page, f"{API}/.auth/api/assertion") == {"blocked": True}


def test_a_session_that_ended_is_made_anew_without_a_question(page: Page) -> None:
    open_app(page)
    page.context.clear_cookies(domain=APP_HOST)
    page.evaluate("window.mark = 1; void window.authz.call('/data')")
    page.wait_for_function(f"!window.mark && window.authz && location.href === '{APP}/page?a=1'")
    assert fetched(page, "/data")["told"] == {"data": 1}
