"""Signing in and out through each real proxy, at a real provider."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from authz_sidecar.core.browser_headers import ISOLATION_HEADERS
from tests.e2e.conftest import in_every_dialect
from tests.servers.proxy import APP_HOST, AUTH_HOST, GROUP_HOST, PUBLIC_HOST
from tests.servers.visitor import NAVIGATION, query

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

ORIGINAL = f"https://{APP_HOST}/some/page?a=1&b=%26%2F&c=x%20y&redirect=https%3A%2F%2Fx.example%2F"
SESSION = "__Host-authz"


def test_a_visitor_signs_in_and_comes_back_to_the_whole_address(stage: Stage) -> None:
    visitor = stage.visitor()
    page = visitor.sign_in(ORIGINAL, "alice")
    assert (page.status, page.url) == (200, ORIGINAL)
    received = stage.app.only()
    assert received.target == ORIGINAL.removeprefix(f"https://{APP_HOST}")
    assert received.one("x-auth-user") == "alice"
    hosts = [urlsplit(url).netloc for url in visitor.visited]
    assert AUTH_HOST in hosts, "the provider knows one callback only"


@pytest.mark.parametrize(
    ("query_string", "restored"),
    [
        pytest.param("%26&" * 480, True, id="just short enough"),
        pytest.param("x=1&" * 1700, False, id="too long"),
    ],
)
def test_a_long_address_comes_back_whole_or_without_its_query(
    stage: Stage, query_string: str, *, restored: bool
) -> None:
    path = f"https://{APP_HOST}/long"
    visitor = stage.visitor()
    page = visitor.sign_in(f"{path}?{query_string}", "alice")
    assert page.status == 200
    if not restored:
        assert "too long" in page.answer.text
        assert f'href="{path}"' in page.answer.text
        page = visitor.browse(path)
    assert page.url == (f"{path}?{query_string}" if restored else path)


@in_every_dialect
def test_sessions_are_host_only_and_nothing_of_an_attempt_stays(stage: Stage) -> None:
    visitor = stage.visitor()
    visitor.sign_in(ORIGINAL, "alice")
    # The loop breaker's count of sign-ins ends by itself, after a minute.
    for host in (APP_HOST, AUTH_HOST):
        assert set(visitor.jars[host]) - {f"{SESSION}-loop"} == {SESSION}, visitor.jars
    assert visitor.jars[APP_HOST][SESSION] != visitor.jars[AUTH_HOST][SESSION]


@in_every_dialect
def test_one_sign_in_serves_every_host_without_another_trip_to_the_provider(stage: Stage) -> None:
    visitor = stage.visitor()
    visitor.sign_in(ORIGINAL, "alice")
    visitor.visited.clear()
    page = visitor.browse(f"https://{GROUP_HOST}/board?n=1")
    assert (page.status, page.url) == (200, f"https://{GROUP_HOST}/board?n=1")
    assert stage.app.received[-1].one("x-auth-user") == "alice"
    assert not [url for url in visitor.visited if url.startswith(stage.provider.issuer)]
    assert visitor.jars[GROUP_HOST][SESSION] != visitor.jars[APP_HOST][SESSION]


@in_every_dialect
def test_a_childs_cookie_is_worth_nothing_on_another_host(stage: Stage) -> None:
    stolen = stage.cookie("alice", APP_HOST)
    answer = stage.send("GET", "/", [*NAVIGATION, stolen], host=GROUP_HOST)
    assert answer.status == 302
    assert not stage.app.received


def test_the_sign_in_hosts_cookie_opens_no_application(stage: Stage) -> None:
    visitor = stage.visitor()
    visitor.sign_in(ORIGINAL, "alice")
    stage.clear()
    stolen = ("Cookie", visitor.cookie_line(AUTH_HOST))
    assert stage.send("GET", "/", [*NAVIGATION, stolen]).status == 302
    assert not stage.app.received


def test_two_tabs_sign_in_at_once(stage: Stage) -> None:
    visitor = stage.visitor()
    first = visitor.browse(f"https://{APP_HOST}/first")
    second = visitor.browse(f"https://{APP_HOST}/second")
    assert visitor.follow(visitor.post(second.url, {"sub": "alice"})).url.endswith("/second")
    assert visitor.follow(visitor.post(first.url, {"sub": "alice"})).url.endswith("/first")


def test_an_outsider_is_refused_with_a_page_and_never_sent_around(stage: Stage) -> None:
    visitor = stage.visitor()
    page = visitor.sign_in(f"https://{GROUP_HOST}/", "bob")
    assert page.status == 403
    assert "bob@example.com" in page.answer.text
    assert not page.answer.all("location")
    assert "text/html" in (page.answer.one("content-type") or "")
    assert "default-src 'none'" in (page.answer.one("content-security-policy") or "")
    assert page.answer.one("cache-control") == "no-store"
    apart = {**dict(ISOLATION_HEADERS), "referrer-policy": "same-origin"}
    assert {name: page.answer.one(name) for name in apart} == apart
    of_a_script = stage.send("GET", "/", [("Accept", "application/json")])
    assert of_a_script.status == 401
    assert {name: of_a_script.one(name) for name, _ in ISOLATION_HEADERS} == dict(ISOLATION_HEADERS)
    assert not stage.app.received


def test_a_stranger_is_redirected_on_the_same_host_and_gets_no_cookie(stage: Stage) -> None:
    answer = stage.send("GET", "/some/page?a=1&b=2", NAVIGATION)
    assert answer.status == 302
    location = answer.one("location") or ""
    assert location.startswith(f"https://{APP_HOST}/.auth/start?rd=")
    assert query(location)["rd"] == f"https://{APP_HOST}/some/page?a=1&b=2"
    assert not answer.all("set-cookie")
    assert "no-store" in (answer.one("cache-control") or "")
    assert not stage.app.received


def test_a_strangers_post_is_not_lost_in_the_sidecar(stage: Stage) -> None:
    form = ("Content-Type", "application/x-www-form-urlencoded")
    referer = ("Referer", f"https://{APP_HOST}/form?page=2")
    answer = stage.send("POST", "/save?x=1", [*NAVIGATION, form, referer], b"password=secret")
    assert answer.status == 303
    assert query(answer.one("location") or "")["rd"] == f"https://{APP_HOST}/form?page=2"
    for question in stage.tap.questions:
        assert b"secret" not in question.asked.body + question.surplus
    assert not stage.app.received


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([("Accept", "application/json")], id="api client"),
        pytest.param(
            [("Accept", "*/*"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")], id="fetch"
        ),
        pytest.param(
            [("Accept", "text/html"), ("X-Requested-With", "XMLHttpRequest")], id="old ajax"
        ),
        pytest.param(
            [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")],
            id="frame",
        ),
    ],
)
def test_programs_get_401_and_json(stage: Stage, lines: list[tuple[str, str]]) -> None:
    answer = stage.send("GET", "/api?x=1", lines)
    assert answer.status == 401
    assert (answer.one("content-type") or "").startswith("application/json")
    assert "/.auth/start?rd=" in json.dumps(json.loads(answer.body))
    assert (answer.one("www-authenticate") or "").startswith("Bearer")
    assert not answer.all("location")
    assert not stage.app.received


def test_a_public_host_asks_nobody(stage: Stage) -> None:
    assert stage.send("GET", "/", NAVIGATION, host=PUBLIC_HOST).status == 200
    assert stage.app.only().one("x-auth-user") is None


@in_every_dialect
def test_signing_out_ends_every_host(stage: Stage) -> None:
    visitor = stage.visitor()
    visitor.sign_in(ORIGINAL, "alice")
    visitor.browse(f"https://{GROUP_HOST}/")
    kept = {host: ("Cookie", visitor.cookie_line(host)) for host in (APP_HOST, GROUP_HOST)}
    asking = visitor.browse(f"https://{APP_HOST}/.auth/sign_out")
    assert asking.status == 200
    action, fields = asking.form()
    done = visitor.post(action, fields | {"scope": "everywhere"}, shown=asking)
    assert done.status in (200, 303), done.answer.text
    stage.clear()
    for host, cookie in kept.items():
        assert stage.send("GET", "/", [*NAVIGATION, cookie], host=host).status == 302, host
    assert not stage.app.received


def test_signing_out_takes_a_form_of_our_own(stage: Stage) -> None:
    visitor = stage.visitor()
    visitor.sign_in(ORIGINAL, "alice")
    refused = visitor.post(f"https://{APP_HOST}/.auth/sign_out", {"csrf": "guessed"})
    assert refused.status in (400, 403)
    assert visitor.browse(f"https://{APP_HOST}/").status == 200


@in_every_dialect
@pytest.mark.parametrize(
    "rd",
    [
        "https://evil.example/",
        "//evil.example/",
        f"https://{APP_HOST}@evil.example/",
        f"https://{APP_HOST}.evil.example/",
        "https://open.example.com/",
        "javascript:alert(1)",
    ],
)
def test_no_sign_in_leads_to_a_strangers_site(stage: Stage, rd: str) -> None:
    visitor = stage.visitor()
    page = visitor.get(f"https://{APP_HOST}/.auth/start?rd={quote(rd, safe='')}")
    assert page.status == 400
    assert page.leads_to is None


@in_every_dialect
def test_a_forged_session_is_no_session(stage: Stage) -> None:
    for value in ("x", "A" * 43, '"', ""):
        answer = stage.send("GET", "/", [*NAVIGATION, ("Cookie", f"{SESSION}={value}")])
        assert answer.status == 302
    name, value = stage.cookie("alice")
    answer = stage.send("GET", "/", [*NAVIGATION, (name, f"{value}; {SESSION}={'A' * 43}")])
    assert answer.status == 302, "two sessions in one request are none"
    assert not stage.app.received
