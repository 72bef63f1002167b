"""Command-line tools: what they may ask for, whom they may ask, and what they are given."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.http import BadRequest
from authz_sidecar.login.native_apps import parse_native_app_request
from authz_sidecar.rate_limit import RateLimit
from authz_sidecar.sessions.api_tokens import parse_api_token, tool_scope
from tests.servers.browser import Browser, page
from tests.support.sign_in import ADMIN, APP, AUTH, WIKI, SignInFixture, running_sign_in
from tests.support.sign_in_steps import sign_in

if TYPE_CHECKING:
    import httpx2

    from authz_sidecar.core.types import Session
    from tests.servers.providers import RunningProvider

TOOL = "http://127.0.0.1:7777/callback"
VERIFIER = "v" * 20 + "-._~" + "V" * 24
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {
    "redirect_uri": TOOL,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "state-of-the-tool",
}
ROUTES: tuple[dict[str, Any], ...] = (
    {"from": APP, "command_line_tools": True},
    {"from": ADMIN},
    {"from": WIKI, "prefix": "/api", "command_line_tools": True},
    {"from": WIKI},
)
NOBODY = "http://localhost:9"


def login_url(host: str = APP, **differences: str | None) -> str:
    asked = {name: value for name, value in {**ASKED, **differences}.items() if value is not None}
    return f"{host}/.auth/api/login?{urlencode(asked)}"


async def approve(browser: Browser, host: str = APP, user: str = "alice") -> str:
    """The code that the tool is sent."""
    asked = await browser.visit(login_url(host), user=user)
    assert asked.status_code == 200, asked.text
    done = await browser.submit(asked, {"allow": "1"})
    return redirect_parameters(done)["code"]


def redirect_parameters(reply: httpx2.Response) -> dict[str, str]:
    """What a page that goes on by itself tells the tool."""
    assert reply.status_code == 200, reply.text
    url = page(reply).refresh
    assert url is not None
    assert url.startswith(f"{TOOL}?"), url
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def redeem(
    browser: Browser, code: str, host: str = APP, /, **differences: str | None
) -> httpx2.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": TOOL,
        **differences,
    }
    data = {name: value for name, value in form.items() if value is not None}
    return await browser.request("POST", f"{host}/.auth/api/token", data=data)


async def token_of(browser: Browser, host: str = APP) -> str:
    given = await redeem(browser, await approve(browser, host), host)
    assert given.status_code == 200, given.text
    return str(given.json()["access_token"])


async def find_tool_session(fixture: SignInFixture, token: str, host: str = APP) -> Session | None:
    """Whose token the gate would take it for."""
    found = parse_api_token(token)
    assert found is not None
    scope = tool_scope(parse_origin(host))
    return await fixture.context.sessions.find(found[1], scope=scope, provider="corp")


@pytest.mark.parametrize("auth_host", [AUTH, None], ids=["central host", "no central host"])
async def test_a_person_signs_in_is_asked_and_the_tool_has_its_token(
    mock_provider: RunningProvider, auth_host: str | None
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES, auth_host=auth_host) as fixture,
        fixture.browser() as browser,
        fixture.browser() as tool,
    ):
        asked = await browser.visit(login_url(), user="alice")
        assert asked.status_code == 200
        assert "alice" in asked.text
        assert TOOL in asked.text
        assert "app.example.com" in asked.text
        done = await browser.submit(asked, {"allow": "1"})
        answer = redirect_parameters(done)
        assert answer["state"] == ASKED["state"]
        assert "sandbox" in done.headers["content-security-policy"]
        given = await redeem(tool, answer["code"])
        assert given.headers["cache-control"] == "no-store"
        document = given.json()
        assert document["token_type"] == "Bearer"
        assert 0 < document["expires_in"] <= 3600
        session = await find_tool_session(fixture, document["access_token"])
        assert session is not None
        assert session.identity.subject == "alice"
        assert await find_tool_session(fixture, document["access_token"], ADMIN) is None


async def test_whoever_is_signed_in_is_asked_at_once(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        assert (await browser.get(login_url())).status_code == 200


async def test_nothing_is_given_without_a_click(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        before = len(fixture.store)
        asked = await browser.get(login_url())
        assert page(asked).refresh is None
        assert len(fixture.store) == before  # the throttle's counter was there already


async def test_a_person_may_say_no(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.visit(login_url(), user="alice")
        answer = redirect_parameters(await browser.submit(asked, {"allow": "0"}))
        assert answer == {"error": "access_denied", "state": ASKED["state"]}


@pytest.mark.parametrize(
    "differences",
    [
        pytest.param({"redirect_uri": None}, id="no address"),
        pytest.param({"redirect_uri": "https://evil.example/"}, id="a site"),
        pytest.param({"redirect_uri": "http://evil.example:80/"}, id="another host"),
        pytest.param({"redirect_uri": "http://localhost:7777/"}, id="a name"),
        pytest.param({"redirect_uri": "http://127.0.0.1/"}, id="no port"),
        pytest.param({"redirect_uri": "http://127.0.0.1:0/"}, id="port 0"),
        pytest.param({"redirect_uri": "http://127.0.0.1:99999/"}, id="a port that cannot be"),
        pytest.param({"redirect_uri": "https://127.0.0.1:7777/"}, id="https"),
        pytest.param({"redirect_uri": "http://127.0.0.1:7777@evil.example/"}, id="user info"),
        pytest.param({"redirect_uri": "http://127.0.0.1:7777.evil.example/"}, id="a longer host"),
        pytest.param({"redirect_uri": "http://127.0.0.2:7777/"}, id="another loop-back address"),
        pytest.param({"redirect_uri": "http://127.1:7777/"}, id="a short spelling"),
        pytest.param({"redirect_uri": "http://2130706433:7777/"}, id="a number"),
        pytest.param({"redirect_uri": "http://[::ffff:127.0.0.1]:7777/"}, id="mapped"),
        pytest.param({"redirect_uri": f"{TOOL}?a=b"}, id="a query"),
        pytest.param({"redirect_uri": f"{TOOL}#a"}, id="a fragment"),
        pytest.param({"redirect_uri": f"{TOOL}\\a"}, id="a backslash"),
        pytest.param({"redirect_uri": f"{TOOL}%0a"}, id="an escape"),
        pytest.param({"redirect_uri": f"{TOOL}\n"}, id="a line end"),
        pytest.param({"redirect_uri": "myapp:/callback"}, id="a scheme of its own"),
        pytest.param({"code_challenge": None}, id="no challenge"),
        pytest.param({"code_challenge": "short"}, id="a short challenge"),
        pytest.param({"code_challenge_method": None}, id="no method"),
        pytest.param({"code_challenge_method": "plain"}, id="plain"),
        pytest.param({"response_type": "token"}, id="implicit"),
        pytest.param({"state": "s" * 513}, id="a long state"),
        pytest.param({"state": "two words"}, id="a state with a space"),
    ],
)
async def test_what_a_tool_may_not_ask_for(differences: dict[str, Any]) -> None:
    async with running_sign_in(NOBODY, routes=ROUTES) as fixture, fixture.browser() as browser:
        refused = await browser.get(login_url(**differences))
        assert refused.status_code == 400
        assert "location" not in refused.headers
        assert "evil" not in refused.text


async def test_what_is_asked_twice_is_refused() -> None:
    async with running_sign_in(NOBODY, routes=ROUTES) as fixture, fixture.browser() as browser:
        for name, value in ASKED.items():
            assert (
                await browser.get(f"{login_url()}&{urlencode({name: value})}")
            ).status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://127.0.0.1:1/", id="the lowest port"),
        pytest.param("http://127.0.0.1:65535", id="the highest, no path"),
        pytest.param("http://[::1]:8080/a/b-c", id="IPv6"),
    ],
)
async def test_where_a_tool_may_listen(address: str) -> None:
    async with running_sign_in(NOBODY, routes=ROUTES) as fixture, fixture.browser() as browser:
        asked = await browser.get(login_url(redirect_uri=address))
        assert asked.status_code == 303
        assert "/.auth/start?" in asked.headers["location"]


async def test_a_host_without_tools_takes_none() -> None:
    async with running_sign_in(NOBODY, routes=ROUTES) as fixture, fixture.browser() as browser:
        assert (await browser.get(login_url(ADMIN))).status_code == 403
        assert (await browser.get(login_url(WIKI))).status_code == 303


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        pytest.param({"csrf": ""}, {}, id="no token of the form"),
        pytest.param({"csrf": "A" * 90}, {}, id="a made-up token"),
        pytest.param({}, {"origin": "https://evil.example"}, id="another site"),
        pytest.param({}, {"origin": ADMIN}, id="another app"),
        pytest.param({}, {"sec-fetch-site": "cross-site"}, id="a browser that says so"),
        pytest.param({}, {"sec-fetch-mode": "cors"}, id="a script"),
        pytest.param({"redirect_uri": "http://evil.example:80/"}, {}, id="another address"),
        pytest.param({"code_challenge": "no"}, {}, id="another challenge"),
    ],
)
async def test_nobody_else_says_yes(
    mock_provider: RunningProvider, form: dict[str, str], headers: dict[str, str]
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.visit(login_url(), user="alice")
        done = await browser.submit(asked, {"allow": "1", **form}, headers=headers)
        assert done.status_code == 400
        assert "code=" not in done.text


async def test_a_script_of_the_host_cannot_read_the_form(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        read_by_script = await browser.get(login_url(), **{"sec-fetch-mode": "cors"})
        assert read_by_script.status_code == 400
        assert "csrf" not in read_by_script.text


async def test_the_form_of_one_person_is_not_anothers(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as alices,
        fixture.browser() as bobs,
    ):
        hers = await alices.visit(login_url(), user="alice")
        his = await bobs.visit(login_url(), user="bob")
        csrf = page(hers).forms[0].fields["csrf"]
        done = await bobs.submit(his, {"allow": "1", "csrf": csrf})
        assert done.status_code == 400


@pytest.mark.parametrize(
    ("differences", "error"),
    [
        pytest.param({"code_verifier": "w" * 43}, "invalid_grant", id="another verifier"),
        pytest.param({"code_verifier": None}, "invalid_request", id="no verifier"),
        pytest.param({"code_verifier": "short"}, "invalid_request", id="a short verifier"),
        pytest.param({"redirect_uri": None}, "invalid_grant", id="no address"),
        pytest.param(
            {"redirect_uri": "http://127.0.0.1:7778/"}, "invalid_grant", id="another address"
        ),
        pytest.param({"code": None}, "invalid_request", id="no code"),
        pytest.param({"code": "A" * 43}, "invalid_grant", id="another code"),
        pytest.param({"grant_type": None}, "invalid_request", id="no grant type"),
        pytest.param({"grant_type": "password"}, "unsupported_grant_type", id="another grant"),
    ],
)
async def test_what_is_not_redeemed(
    mock_provider: RunningProvider, differences: dict[str, str | None], error: str
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        refused = await redeem(browser, await approve(browser), **differences)
        assert (refused.status_code, refused.json()["error"]) == (400, error)
        assert refused.headers["content-type"] == "application/json"
        assert refused.headers["cache-control"] == "no-store"


async def test_a_wrong_proof_uses_the_code_up(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        code = await approve(browser)
        assert (await redeem(browser, code, code_verifier="w" * 43)).status_code == 400
        assert (await redeem(browser, code)).status_code == 400


async def test_a_code_is_good_once_on_its_host_and_for_a_minute(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        code = await approve(browser)
        assert (await redeem(browser, code)).status_code == 200
        assert (await redeem(browser, code)).json()["error"] == "invalid_grant"
        assert (await redeem(browser, await approve(browser), WIKI)).status_code == 400
        code = await approve(browser)
        fixture.clock.offset += 61
        assert (await redeem(browser, code)).json()["error"] == "invalid_grant"


async def test_a_code_is_no_ticket_and_a_ticket_no_code(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        code = await approve(browser)
        # On a host where a sign-in waits for its ticket.
        await browser.get(f"{WIKI}/.auth/start?rd=/")
        handed = await browser.get(f"{WIKI}/.auth/handover?ticket={code}")
        assert handed.status_code == 400
        assert not browser.cookies("wiki.example.org").get("__Host-authz")
        ticket = await fixture.context.sessions.one_time.issue_ticket(
            json.dumps({"origin": APP, "flow": "x", "provider": "corp", "token": "y"}).encode()
        )
        assert (await redeem(browser, ticket)).json()["error"] == "invalid_grant"


async def test_a_code_is_worth_nothing_once_its_person_has_left(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        code = await approve(browser)
        session = await fixture.find_session(browser, APP)
        assert session is not None
        await fixture.context.sessions.end(session)
        assert (await redeem(browser, code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("auth_host", [AUTH, None], ids=["central host", "no central host"])
async def test_signing_out_takes_the_tool_along(
    mock_provider: RunningProvider, auth_host: str | None
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES, auth_host=auth_host) as fixture,
        fixture.browser() as browser,
    ):
        token = await token_of(browser)
        assert await find_tool_session(fixture, token) is not None
        asked = await browser.get(f"{APP}/.auth/sign_out")
        await browser.submit(asked, {"scope": "everywhere"})
        assert await find_tool_session(fixture, token) is None


async def test_signing_out_of_one_site_takes_its_tools_along_and_no_others(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        here, there = await token_of(browser), await token_of(browser, WIKI)
        asked = await browser.get(f"{APP}/.auth/sign_out")
        await browser.submit(asked, {"scope": "site"})
        assert await find_tool_session(fixture, here) is None
        assert await find_tool_session(fixture, there, WIKI) is not None


async def test_a_tool_is_in_the_list_of_sessions_and_is_ended_there(
    mock_provider: RunningProvider,
) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
        fixture.browser() as tool,
    ):
        code = await approve(browser)
        tool.client.headers["user-agent"] = "deployer/1.0 <script>"
        token = str((await redeem(tool, code)).json()["access_token"])
        listed = await browser.get(f"{AUTH}/.auth/sessions")
        assert "Command-line tool (deployer)" in listed.text
        session = await find_tool_session(fixture, token)
        assert session is not None
        done = await browser.submit(listed, {"session": session.public_id})
        assert done.status_code == 303
        assert await find_tool_session(fixture, token) is None
        assert await fixture.find_session(browser, APP) is not None


async def test_a_tool_lives_no_longer_than_the_sign_in(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        await sign_in(browser, APP)
        fixture.clock.offset += 3000
        token = await token_of(browser)
        fixture.clock.offset += 599
        assert await find_tool_session(fixture, token) is not None
        fixture.clock.offset += 2
        assert await find_tool_session(fixture, token) is None


async def test_programs_are_throttled_in_their_own_language() -> None:
    limits = RateLimit(requests=2)
    async with (
        running_sign_in(NOBODY, routes=ROUTES, limits=limits) as fixture,
        fixture.browser() as browser,
    ):
        statuses = [(await redeem(browser, "A" * 43)).status_code for _ in range(20)]
        assert statuses == [400] * 20  # of an unknown address
        where = {"x-client": "192.0.2.9"}
        url = f"{APP}/.auth/api/token"
        answers = [await browser.request("POST", url, headers=where) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 429]
        assert answers[2].json()["error"] == "temporarily_unavailable"
        assert int(answers[2].headers["retry-after"]) > 0
        assert (await browser.get(login_url(), **where)).status_code == 429


async def test_one_account_has_so_many_tools_a_minute(mock_provider: RunningProvider) -> None:
    limits = RateLimit(requests=8)
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES, limits=limits) as fixture,
        fixture.browser() as browser,
    ):
        asked = await browser.visit(login_url(), user="alice")
        statuses = []
        for n in range(9):
            where = {"x-client": f"192.0.2.{n}"}
            done = await browser.submit(asked, {"allow": "1"}, headers=where)
            statuses.append(done.status_code)
        assert statuses == [200] * 8 + [429]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_the_token_endpoint_takes_posts_alone(method: str) -> None:
    async with running_sign_in(NOBODY, routes=ROUTES) as fixture, fixture.browser() as browser:
        answer = await browser.request(method, f"{APP}/.auth/api/token")
        assert answer.status_code == 405


async def test_a_body_that_is_no_form_is_refused(mock_provider: RunningProvider) -> None:
    async with (
        running_sign_in(mock_provider.issuer, routes=ROUTES) as fixture,
        fixture.browser() as browser,
    ):
        answer = await browser.request(
            "POST", f"{APP}/.auth/api/token", json={"grant_type": "authorization_code"}
        )
        assert answer.status_code == 400


@given(
    st.text(max_size=30),
    st.sampled_from(["http://127.0.0.1", "http://127.0.0.1:80", "http://[::1]:9"]),
)
@example(":80@evil.example/", "http://127.0.0.1")
@example(".evil.example:80/", "http://127.0.0.1")
@example("/\\evil.example", "http://127.0.0.1:80")
def test_whatever_is_accepted_leads_to_this_computer(rest: str, begin: str) -> None:
    pairs = tuple({**ASKED, "redirect_uri": begin + rest}.items())
    try:
        tool = parse_native_app_request(pairs)
    except BadRequest:
        return
    url = urlsplit(tool.response_url(code="c"))
    assert (url.scheme, url.hostname in {"127.0.0.1", "::1"}) == ("http", True)
    assert (url.username, url.fragment) == (None, "")
    assert parse_qs(url.query) == {"code": ["c"], "state": [ASKED["state"]]}
    assert url.port is not None
