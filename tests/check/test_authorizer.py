"""The gate with all its real parts: who passes, who is asked to sign in, who is refused and why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_sidecar.adapters.base import SubRequest
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions import MemoryStore
from tests.routes.settings import RouteSpec
from tests.support.authorizer import (
    ADAPTERS,
    ALICE,
    APP,
    HTML,
    JSON,
    NAMES,
    NAVIGATION,
    NOW,
    PROXY,
    build_authorizer,
    header,
    raw_request,
)

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers, Identity

SIGNED_IN = RouteSpec(name="app", allow_any_authenticated_user=True)
PUBLIC = RouteSpec(name="public", prefix="/public/", allow_public_unauthenticated_access=True)
ADMIN = RouteSpec(
    name="admin", prefix="/admin", policy={"allow": {"and": [{"groups": {"has": "admins"}}]}}
)
WEBSOCKET = (("upgrade", "websocket"), ("sec-websocket-version", "13"))


def start(url: str) -> str:
    return f"{APP}/.auth/start?rd={quote(url, safe='')}"


class BrokenStore(MemoryStore):
    """A store that went away after it was filled."""

    broken = False

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        if self.broken:
            raise StoreUnavailable("no route to the store")
        return await super().read(*keys)


async def test_somebody_signed_in_passes_with_an_identity() -> None:
    fixture = build_authorizer(SIGNED_IN)
    reply = await fixture.check(f"{APP}/page", await fixture.sign_in(), HTML)
    assert reply.status == 200
    assert not reply.body
    assert header(reply, "x-auth-user") == "alice"
    assert header(reply, "x-auth-groups") == "eng,ops"
    assert header(reply, "set-cookie") is None
    assert header(reply, "cookie") is None
    assert (fixture.record.outcome, fixture.record.status, fixture.record.route) == (
        "allow",
        200,
        "app",
    )
    assert fixture.record.session is not None


@pytest.mark.parametrize(
    ("method", "headers", "status", "back"),
    [
        pytest.param("GET", NAVIGATION, 302, f"{APP}/a?b=c&d=%2e", id="navigation"),
        pytest.param("GET", [HTML], 302, f"{APP}/a?b=c&d=%2e", id="old browser"),
        pytest.param("HEAD", [HTML], 302, f"{APP}/a?b=c&d=%2e", id="HEAD"),
        pytest.param("POST", NAVIGATION, 303, f"{APP}/", id="form without a page"),
        pytest.param(
            "POST",
            [*NAVIGATION, ("referer", f"{APP}/form?x=1")],
            303,
            f"{APP}/form?x=1",
            id="form of a page",
        ),
        pytest.param(
            "POST",
            [*NAVIGATION, ("referer", "https://evil.example/")],
            303,
            f"{APP}/",
            id="form of another site",
        ),
        pytest.param("GET", [JSON], 401, f"{APP}/a?b=c&d=%2e", id="program"),
        pytest.param(
            "GET", [HTML, ("x-requested-with", "x")], 401, f"{APP}/a?b=c&d=%2e", id="script"
        ),
    ],
)
async def test_sign_in_first(
    method: str, headers: list[tuple[str, str]], status: int, back: str
) -> None:
    fixture = build_authorizer(SIGNED_IN)
    reply = await fixture.check(f"{APP}/a?b=c&d=%2e", *headers, method=method)
    assert reply.status == status
    assert header(reply, "set-cookie") is None
    assert header(reply, "cache-control") == "no-store"
    told = header(reply, "location") or json.loads(reply.body)["sign_in_url"]
    assert told == start(back)
    assert (header(reply, "www-authenticate") == "Bearer") == (status == 401)
    assert fixture.record.outcome == "sign-in"


async def test_a_backslash_in_a_query_is_what_browsers_send() -> None:
    fixture = build_authorizer(SIGNED_IN)
    reply = await fixture.check(rf"{APP}/a?b=c\d", HTML)
    assert header(reply, "location") == start(f"{APP}/a?b=c%5Cd")
    assert (await fixture.check(rf"{APP}/a?b=c\d", await fixture.sign_in())).status == 200
    assert (await fixture.check(rf"{APP}/a\b", HTML)).status == 400


async def test_a_return_address_too_long_to_keep_loses_its_query() -> None:
    fixture = build_authorizer(SIGNED_IN)
    reply = await fixture.check(f"{APP}/a?{'b' * 3000}", HTML)
    assert header(reply, "location") == start(f"{APP}/a") + "&shortened=1"
    reply = await fixture.check(f"{APP}/{'a' * 3000}", HTML)
    assert header(reply, "location") == start(f"{APP}/") + "&shortened=1"


async def test_refusals_are_pages_for_people_and_json_for_programs() -> None:
    fixture = build_authorizer(ADMIN)
    cookie = await fixture.sign_in()
    page = await fixture.check(f"{APP}/admin?a=1", cookie, HTML)
    assert page.status == 403
    assert header(page, "x-authz-reason") == "groups-unauthorized"
    assert header(page, "location") is None
    text = page.body.decode()
    assert "alice@example.com" in text
    assert fixture.record.request_id in text
    switch = start(f"{APP}/admin?a=1") + "&amp;switch=1"
    assert switch in text
    program = await fixture.check(f"{APP}/admin", cookie, JSON)
    assert (program.status, header(program, "content-type")) == (403, "application/json")
    assert json.loads(program.body) == {
        "error": "groups-unauthorized",
        "message": "Access denied.",
        "request_id": fixture.record.request_id,
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://elsewhere.example.com/", id="unknown host"),
        pytest.param("http://app.example.com/", id="other scheme"),
        pytest.param("https://app.example.com:8443/", id="other port"),
        pytest.param("https://app.example.com.evil.example/", id="longer name"),
        pytest.param("https://xapp.example.com/", id="no boundary"),
    ],
)
async def test_hosts_without_a_route_are_refused_and_never_sent_to_sign_in(
    name: str, url: str
) -> None:
    fixture = build_authorizer(RouteSpec(allow_public_unauthenticated_access=True))
    reply = await fixture.check(url, HTML, await fixture.sign_in(), adapter=name)
    assert reply.status == 403
    assert header(reply, "location") is None
    assert fixture.record.reasons == ("route-not-found",)


HOSTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["app.example.com", "APP.example.com.", "app.example.com:443"]),
    st.from_regex(r"\A(app|x|\.|,|@|example|com|:[0-9]{1,4}| |\\|/){1,6}\Z"),
)


@settings(max_examples=200)
@given(host=HOSTS, name=st.sampled_from(NAMES))
async def test_no_host_but_the_known_one_ever_passes(host: str, name: str) -> None:
    fixture = build_authorizer(RouteSpec(allow_public_unauthenticated_access=True))
    reply = await fixture.check(f"https://{host}/", HTML, adapter=name)
    known = host.lower().removesuffix(":443").removesuffix(".") == "app.example.com"
    if name == "ingress-nginx":  # there the host is what stands before the first slash
        known = host.partition("/")[0].lower().removesuffix(":443").rstrip(".") == "app.example.com"
    assert known or reply.status >= 400


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/public/../admin", id="dot-dot"),
        pytest.param("/public/%2e%2e/admin", id="encoded"),
        pytest.param("/public/..;/admin", id="parameter"),
        pytest.param("/public/..%2fadmin", id="encoded slash"),
        pytest.param("/public/%252e%252e/admin", id="encoded twice"),
        pytest.param("//admin", id="empty segment"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
async def test_a_path_that_leads_to_several_routes_is_refused_whoever_asks(
    path: str, name: str
) -> None:
    fixture = build_authorizer(PUBLIC, ADMIN, SIGNED_IN)
    cookie = await fixture.sign_in(replace(ALICE, groups=("admins",)))
    for who in ((), (cookie,)):
        reply = await fixture.check(f"{APP}{path}", *who, HTML, adapter=name)
        refused = 403 if name in {"nginx", "ingress-nginx"} else 400
        assert reply.status == refused
        assert fixture.record.outcome == "refused"
        assert "several readings" in (fixture.record.error or "")


async def test_several_readings_pass_where_all_of_them_are_decided_alike() -> None:
    fixture = build_authorizer(PUBLIC, SIGNED_IN)
    assert (await fixture.check(f"{APP}/public/a//b;c=1/%2f")).status == 200
    assert (await fixture.check(f"{APP}/x/../y", HTML)).status == 302


async def test_several_readings_are_refused_where_a_rule_on_the_path_tells_them_apart() -> None:
    rule = {"http_path": {"starts_with": "/open"}}
    fixture = build_authorizer(
        RouteSpec(policy={"allow": {"or": [rule, {"groups": {"has": "admins"}}]}})
    )
    assert (await fixture.check(f"{APP}/open/x", HTML)).status == 200
    assert (await fixture.check(f"{APP}/open/../x", HTML)).status == 400


async def test_letter_case_is_a_reading_where_it_is_ignored() -> None:
    deny = {"deny": {"or": [{"http_path": {"starts_with": "/a/secret"}}]}}
    open_ = {"allow": {"or": [{"accept": True}]}}
    fixture = build_authorizer(RouteSpec(prefix="/a", paths="ignore_case", policy=[open_, deny]))
    assert (await fixture.check(f"{APP}/A/open")).status == 200
    for path in ("/a/secret", "/A/SECRET", "/%41/s%45cret"):
        assert (await fixture.check(f"{APP}{path}")).status in {400, 403}


async def test_two_authorization_lines_are_refused() -> None:
    fixture = build_authorizer(RouteSpec(allow_public_unauthenticated_access=True))
    lines = [("authorization", "Basic YTph"), ("authorization", "Bearer x")]
    assert (await fixture.check(f"{APP}/", *lines)).status == 400


@pytest.mark.parametrize(
    ("origins", "allowed", "status"),
    [
        pytest.param([], (), 200, id="no browser"),
        pytest.param([APP], (), 200, id="own page"),
        pytest.param(["https://evil.example"], (), 403, id="another site"),
        pytest.param(["null"], (), 403, id="no site"),
        pytest.param(["http://app.example.com"], (), 403, id="other scheme"),
        pytest.param([APP, "https://evil.example"], (), 403, id="two"),
        pytest.param(
            ["https://spa.example.com"], ("https://spa.example.com",), 200, id="allowed site"
        ),
    ],
)
async def test_websockets_are_opened_by_the_hosts_own_pages(
    origins: list[str], allowed: tuple[str, ...], status: int
) -> None:
    route = replace(SIGNED_IN, allowed_origins=tuple(map(parse_origin, allowed)))
    fixture = build_authorizer(route)
    lines = [("origin", origin) for origin in origins]
    reply = await fixture.check(f"{APP}/ws", await fixture.sign_in(), *WEBSOCKET, *lines)
    assert reply.status == status
    if status == 403:
        assert header(reply, "x-authz-reason") == "origin-not-allowed"


UPGRADES = (
    pytest.param((("upgrade", "h2c"),), id="h2c"),
    pytest.param((("upgrade", "h2c"), ("http2-settings", "AAMAAABk")), id="h2c and its settings"),
    pytest.param((("http2-settings", "AAMAAABk"),), id="settings of HTTP/2 alone"),
    pytest.param((*WEBSOCKET, ("http2-settings", "AAMAAABk")), id="settings beside a WebSocket"),
    pytest.param((("upgrade", "websocket,h2c"), *WEBSOCKET[1:]), id="h2c behind websocket"),
    pytest.param((("upgrade", "h2c,websocket"), *WEBSOCKET[1:]), id="h2c before websocket"),
    pytest.param((*WEBSOCKET, ("upgrade", "h2c")), id="two lines"),
    pytest.param((("upgrade", "TLS/1.3"),), id="TLS"),
    pytest.param((("upgrade", "SPDY/3.1"),), id="SPDY"),
    pytest.param((("upgrade", "connect-udp"),), id="connect-udp"),
    pytest.param((("upgrade", "tcp"),), id="tcp"),
)


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["/public/a", "/a"], ids=["public", "signed in"])
async def test_no_other_tunnel_than_a_websocket_is_allowed_whoever_asks(
    path: str, name: str, upgrade: Headers
) -> None:
    fixture = build_authorizer(PUBLIC, SIGNED_IN)
    cookie = await fixture.sign_in()
    passing = await fixture.check(f"{APP}{path}", cookie, ("x-authz-reason", ""), adapter=name)
    reply = await fixture.check(f"{APP}{path}", cookie, *upgrade, adapter=name)
    assert passing.status == (403 if name == "nginx-challenge" else 200)
    assert reply.status == 403
    assert fixture.record.reasons == ("upgrade-not-allowed",)
    assert (fixture.record.outcome, fixture.record.error) == ("deny", None)
    told = header(reply, "x-authz-reason")
    assert told == ("forbidden" if name in {"nginx", "ingress-nginx"} else "upgrade-not-allowed")


async def test_a_controller_with_the_old_annotation_passes_nothing() -> None:
    """Not even what is public, and whatever the client says of itself."""
    fixture = build_authorizer(PUBLIC, SIGNED_IN)
    raw = raw_request(
        f"{APP}/public/a",
        await fixture.sign_in(),
        ("upgrade", "websocket"),
        adapter="ingress-nginx",
    )
    adapter = ADAPTERS["ingress-nginx"]
    assert (await fixture.authorizer.check(adapter, raw)).status == 200
    reply = await fixture.authorizer.check(adapter, replace(raw, target="/auth/ingress-nginx"))
    assert (reply.status, header(reply, "x-authz-reason")) == (403, "bad-request")
    assert fixture.record.reasons == ("proxy-misconfigured",)
    assert "?host=$host&upgrade=$http_upgrade" in (fixture.record.error or "")


async def test_a_websocket_without_a_session_is_not_redirected() -> None:
    fixture = build_authorizer(SIGNED_IN)
    reply = await fixture.check(f"{APP}/ws", *WEBSOCKET, HTML)
    assert reply.status == 401


async def test_grpc_is_told_in_its_own_words() -> None:
    fixture = build_authorizer(SIGNED_IN, ADMIN)
    grpc = ("content-type", "application/grpc+proto")
    reply = await fixture.check(f"{APP}/pkg.Service/Call", grpc, method="POST", adapter="envoy")
    assert (reply.status, header(reply, "grpc-status")) == (401, "16")
    reply = await fixture.check(
        f"{APP}/admin", grpc, await fixture.sign_in(), method="POST", adapter="envoy"
    )
    assert (reply.status, header(reply, "grpc-status")) == (403, "7")
    assert header(reply, "grpc-message") == "Access denied."


async def test_a_preflight_is_never_redirected() -> None:
    fixture = build_authorizer(SIGNED_IN)
    preflight = [("origin", "https://spa.example.com"), ("access-control-request-method", "PUT")]
    assert (await fixture.check(f"{APP}/", *preflight, HTML, method="OPTIONS")).status == 401


async def test_without_its_store_nobody_passes_and_nobody_is_signed_out() -> None:
    store = BrokenStore(clock=lambda: 0)
    fixture = build_authorizer(SIGNED_IN, PUBLIC, store=store)
    cookie = await fixture.sign_in()
    store.broken = True
    for name in NAMES:
        reply = await fixture.check(f"{APP}/", cookie, HTML, adapter=name)
        assert reply.status == 503
        assert header(reply, "set-cookie") is None
        assert fixture.record.outcome == "unavailable"
        assert fixture.record.error == "no route to the store"
    page = await fixture.check(f"{APP}/", cookie, HTML)
    assert b"no route" not in page.body
    assert header(page, "retry-after")
    assert (await fixture.check(f"{APP}/", HTML)).status == 302
    assert (await fixture.check(f"{APP}/public/x", cookie)).status == 200


async def test_nobody_is_sent_to_a_provider_that_was_never_reached() -> None:
    fixture = build_authorizer(SIGNED_IN, PUBLIC)
    fixture.ready_providers.clear()
    cookie = await fixture.sign_in()
    assert (await fixture.check(f"{APP}/", HTML)).status == 503
    assert (await fixture.check(f"{APP}/", JSON)).status == 503
    assert (await fixture.check(f"{APP}/public/x", HTML)).status == 200
    assert (await fixture.check(f"{APP}/", cookie, HTML)).status == 200
    fixture.ready_providers.add("corp")
    assert (await fixture.check(f"{APP}/", HTML)).status == 302


def of(provider: str, **changes: str) -> Identity:
    return replace(ALICE, provider=provider, issuer=f"https://{provider}.example", **changes)  # type: ignore[arg-type]


async def test_of_several_providers_any_session_that_passes_will_do() -> None:
    email = {"email": {"is": "alice@partner.example"}}
    route = RouteSpec(identity_provider=("corp", "partner"), policy={"allow": {"and": [email]}})
    fixture = build_authorizer(route, providers=("corp", "partner"), default_provider="corp")
    corp = (await fixture.sign_in(of("corp")))[1]
    partner = (await fixture.sign_in(of("partner", email="alice@partner.example")))[1]
    assert partner.startswith("__Host-authz-partner=")
    reply = await fixture.check(f"{APP}/", ("cookie", f"{corp}; {partner}; theme=dark"))
    assert reply.status == 200
    assert header(reply, "x-auth-email") == "alice@partner.example"
    assert header(reply, "cookie") == "theme=dark"
    assert (await fixture.check(f"{APP}/", ("cookie", corp), HTML)).status == 403
    fixture.ready_providers.remove("corp")
    assert (await fixture.check(f"{APP}/", HTML)).status == 302, "one that is ready is enough"


async def test_a_session_of_another_provider_is_none() -> None:
    fixture = build_authorizer(
        replace(SIGNED_IN, identity_provider=("corp",)),
        providers=("corp", "partner"),
        default_provider="corp",
    )
    name, cookie = await fixture.sign_in(of("partner"))
    assert (await fixture.check(f"{APP}/", (name, cookie), HTML)).status == 302
    renamed = cookie.replace("authz-partner", "authz")
    assert (await fixture.check(f"{APP}/", (name, renamed), HTML)).status == 302


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param("{0}; {0}", id="twice"),
        pytest.param('{1}="{2}"', id="quoted"),
        pytest.param("{1}={2}x", id="longer"),
        pytest.param("{1} ={2}", id="space before the sign"),
        pytest.param("{1}=", id="empty"),
        pytest.param("authz={2}", id="without the prefix"),
    ],
)
async def test_a_malformed_cookie_is_no_session(spoiled: str) -> None:
    fixture = build_authorizer(SIGNED_IN)
    _, cookie = await fixture.sign_in()
    name, _, value = cookie.partition("=")
    line = spoiled.format(cookie, name, value)
    assert (await fixture.check(f"{APP}/", ("cookie", line), HTML)).status == 302


async def test_a_session_opens_no_other_host() -> None:
    other = "https://other.example.com"
    fixture = build_authorizer(SIGNED_IN, RouteSpec(from_=other, allow_any_authenticated_user=True))
    cookie = await fixture.sign_in()
    assert (await fixture.check(f"{APP}/", cookie, HTML)).status == 200
    assert (await fixture.check(f"{other}/", cookie, HTML)).status == 302


async def test_a_public_place_tells_the_app_who_comes_only_where_it_may() -> None:
    knows = RouteSpec(
        prefix="/hello", allow_public_unauthenticated_access=True, identity="optional"
    )
    fixture = build_authorizer(PUBLIC, knows)
    cookie = await fixture.sign_in()
    assert header(await fixture.check(f"{APP}/hello", cookie), "x-auth-user") == "alice"
    assert header(await fixture.check(f"{APP}/hello"), "x-auth-user") is None
    assert header(await fixture.check(f"{APP}/public/", cookie), "x-auth-user") is None


async def test_a_mistake_of_ours_is_a_503_with_a_trace_in_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Exploding(MemoryStore):
        async def read(self, *keys: str) -> tuple[bytes | None, ...]:
            raise ZeroDivisionError("secret detail")

    fixture = build_authorizer(SIGNED_IN, store=Exploding())
    cookie = ("cookie", f"__Host-authz={'A' * 43}")
    for name in NAMES:
        reply = await fixture.check(f"{APP}/", cookie, HTML, adapter=name)
        assert reply.status == 503
        assert b"secret detail" not in reply.body
        assert b"Traceback" not in reply.body
    assert "ZeroDivisionError" in caplog.text
    assert fixture.record.error == "internal error"


async def test_a_question_that_cannot_be_read_is_recorded_without_a_request() -> None:
    fixture = build_authorizer(SIGNED_IN)
    raw = SubRequest(method="GET", target="/auth/traefik", headers=(HTML,), peer=PROXY)
    reply = await fixture.authorizer.check(ADAPTERS["traefik"], raw)
    assert reply.status == 400
    assert b"x-forwarded" not in reply.body.lower()
    assert fixture.record.request is None
    assert fixture.record.outcome == "refused"
    assert fixture.record.reasons == ("bad-request",)
    assert "expected one `x-forwarded-proto` header, got 0" in (fixture.record.error or "")


FACTS = (
    *("x-forwarded-method", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri"),
    *("x-original-url", "x-original-method", "host", "cookie", "accept", "x-forwarded-for"),
)
LINES = st.lists(
    st.tuples(
        st.sampled_from(FACTS),
        st.one_of(
            st.text(st.characters(max_codepoint=255), max_size=20),
            st.sampled_from(["GET", "https", "app.example.com", "/", "/admin", APP, "text/html"]),
        ),
    ),
    max_size=12,
).map(tuple)


@settings(max_examples=300)
@given(
    name=st.sampled_from(NAMES),
    method=st.text(st.characters(max_codepoint=255), max_size=8) | st.just("GET"),
    target=st.text(st.characters(max_codepoint=255), max_size=20) | st.just("/auth/envoy/admin"),
    lines=LINES,
)
async def test_whatever_bytes_arrive_nobody_passes_by_accident(
    name: str, method: str, target: str, lines: tuple[tuple[str, str], ...]
) -> None:
    fixture = build_authorizer(SIGNED_IN)
    raw = SubRequest(method=method, target=target, headers=lines, peer=PROXY)
    reply = await fixture.authorizer.check(ADAPTERS[name], raw)
    assert reply.status in {302, 303, 400, 401, 403}
    assert fixture.record.status == reply.status
    for field, value in reply.headers:
        f"{field}: {value}".encode("latin-1")
        assert "\n" not in value
        assert "\r" not in value


async def test_a_public_place_stays_open_while_the_store_is_away() -> None:
    store = BrokenStore(clock=lambda: 0)
    knows = RouteSpec(
        prefix="/hello", allow_public_unauthenticated_access=True, identity="optional"
    )
    needs = RouteSpec(
        prefix="/needs",
        policy=[
            {"allow": {"or": [{"http_method": {"is": "GET"}}, {"email": {"is": "a@example.com"}}]}}
        ],
    )
    fixture = build_authorizer(knows, needs, store=store)
    cookie = await fixture.sign_in()
    assert header(await fixture.check(f"{APP}/hello", cookie), "x-auth-user") == "alice"
    store.broken = True
    reply = await fixture.check(f"{APP}/hello", cookie)
    assert reply.status == 200
    assert header(reply, "x-auth-user") is None
    assert fixture.record.session is None
    # Where it matters who comes, somebody who says so is not taken for a stranger.
    assert (await fixture.check(f"{APP}/needs", cookie)).status == 503
    assert (await fixture.check(f"{APP}/needs")).status == 200


async def test_what_nobody_can_sign_in_for_is_denied_at_once() -> None:
    fixture = build_authorizer(SIGNED_IN, providers=())
    reply = await fixture.check(f"{APP}/", HTML)
    assert reply.status == 403
    assert fixture.record.reasons == ("user-unauthenticated",)


async def test_a_page_that_fails_is_no_way_around_the_gate(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = RouteSpec(policy={"deny": {"or": [{"accept": True}]}})
    fixture = build_authorizer(nobody)
    # Nothing but a programming error could do this to a page.
    monkeypatch.setattr(fixture.authorizer.responses.pages, "_template", None)
    reply = await fixture.check(f"{APP}/", HTML)
    assert reply.status == 503
    assert fixture.record.outcome == "unavailable"
    assert "TypeError" in caplog.text


async def test_a_person_may_read_a_path_in_several_ways_that_a_stranger_may_not() -> None:
    public = {"http_path": {"starts_with": "/public"}}
    fixture = build_authorizer(
        RouteSpec(policy=[{"allow": {"or": [public, {"authenticated_user": True}]}}]),
    )
    cookie = await fixture.sign_in()
    assert (await fixture.check(f"{APP}/public/..;x/a", HTML)).status == 400
    assert (await fixture.check(f"{APP}/public/..;x/a", cookie, HTML)).status == 200


# Signed in, but not in the way that a rule asks for

LEVELS = RouteSpec(
    name="levels",
    prefix="/pay",
    policy={"allow": {"and": [{"authentication": {"max_age": "5m", "acr": ["gold", "plat"]}}]}},
    allowed_origins=(parse_origin("https://shop.example.com"),),
)
RECENTLY = replace(ALICE, authenticated_at=NOW - 60, acr="gold", amr=("pwd",))
LONG_AGO = replace(ALICE, authenticated_at=NOW - 3600, acr="gold", amr=("pwd",))


async def test_a_page_that_asks_for_a_stronger_sign_in_leads_to_one() -> None:
    fixture = build_authorizer(SIGNED_IN, LEVELS)
    cookie = await fixture.sign_in(LONG_AGO)
    reply = await fixture.check(f"{APP}/pay?a=b", cookie, *NAVIGATION)
    assert reply.status == 302
    assert header(reply, "location") == start(f"{APP}/pay?a=b")
    assert fixture.record.outcome == "sign-in"
    assert fixture.record.reasons == ("authentication-too-old",)
    assert (await fixture.check(f"{APP}/", cookie, *NAVIGATION)).status == 200
    assert (await fixture.check(f"{APP}/pay", await fixture.sign_in(RECENTLY), HTML)).status == 200


@pytest.mark.parametrize(
    ("method", "headers", "asked"),
    [
        pytest.param("GET", [JSON], "GET /pay/x", id="script"),
        pytest.param("DELETE", [JSON], "DELETE /pay/x", id="script that deletes"),
        pytest.param(
            "POST", [*NAVIGATION, ("referer", f"{APP}/cart")], "POST /pay/x", id="form of a page"
        ),
    ],
)
async def test_a_step_up_for_something_else_than_the_page_says_for_what(
    method: str, headers: list[tuple[str, str]], asked: str
) -> None:
    fixture = build_authorizer(SIGNED_IN, LEVELS)
    cookie = await fixture.sign_in(LONG_AGO)
    reply = await fixture.check(f"{APP}/pay/x?y", cookie, *headers, method=method)
    told = header(reply, "location") or json.loads(reply.body)["sign_in_url"]
    assert told.endswith(f"&for={quote(asked, safe='')}")


@pytest.mark.parametrize("name", NAMES)
async def test_programs_are_told_what_is_missing(name: str) -> None:
    """RFC 9470 section 3."""
    fixture = build_authorizer(SIGNED_IN, LEVELS)
    cookie = await fixture.sign_in(replace(LONG_AGO, acr="bronze"))
    reply = await fixture.check(f"{APP}/pay", cookie, JSON, adapter=name)
    assert reply.status == 401
    if name in {"nginx", "ingress-nginx"}:
        return  # what the challenge says, and nobody can say through the controller
    assert header(reply, "www-authenticate") == (
        'Bearer error="insufficient_user_authentication",'
        ' error_description="Sign in again in the required way.",'
        ' acr_values="gold plat", max_age="300"'
    )
    document = json.loads(reply.body)
    assert document["error"] == "insufficient_user_authentication"
    assert (document["acr_values"], document["max_age"]) == (["gold", "plat"], 300)
    assert document["sign_in_url"].startswith(f"{APP}/.auth/start?rd=")


async def test_strangers_are_told_nothing_of_levels() -> None:
    fixture = build_authorizer(LEVELS)
    reply = await fixture.check(f"{APP}/pay", JSON)
    assert header(reply, "www-authenticate") == "Bearer"
    assert json.loads(reply.body)["error"] == "unauthenticated"


async def test_of_two_sessions_the_one_that_could_step_up_counts() -> None:
    either = RouteSpec(
        name="either",
        identity_provider=("corp", "partners"),
        policy={
            "allow": {"and": [{"authentication": {"acr": "gold"}}, {"groups": {"has": "staff"}}]}
        },
    )
    fixture = build_authorizer(either, providers=("corp", "partners"), default_provider="corp")
    _, one = await fixture.sign_in(ALICE)
    partner = replace(ALICE, provider="partners", groups=("staff",))
    _, other = await fixture.sign_in(partner)
    reply = await fixture.check(f"{APP}/", ("cookie", f"{one}; {other}"), JSON)
    assert reply.status == 401
    assert fixture.record.session is not None
    assert fixture.record.session.identity == partner


async def test_readings_that_ask_for_different_sign_ins_are_refused() -> None:
    def level(acr: str, *paths: object) -> dict[str, object]:
        return {"allow": {"and": [{"authentication": {"acr": acr}}, *paths]}}

    a, not_a = {"http_path": {"starts_with": "/a"}}, {"http_path": {"not": "/a"}}
    fixture = build_authorizer(
        RouteSpec(name="app", policy=[level("gold", a), level("silver", not_a)])
    )
    cookie = await fixture.sign_in()
    assert (await fixture.check(f"{APP}/a", cookie, JSON)).status == 401
    assert (await fixture.check(f"{APP}/b", cookie, JSON)).status == 401
    assert (await fixture.check(f"{APP}/b/..%2f..%2fa", cookie, JSON)).status == 400


# Scripts of other sites

SHOP = "https://shop.example.com"


@pytest.mark.parametrize(
    "who",
    [pytest.param(None, id="sign in first"), pytest.param(LONG_AGO, id="sign in again")],
)
async def test_an_allowed_site_may_read_why_not(who: Identity | None) -> None:
    fixture = build_authorizer(SIGNED_IN, LEVELS)
    cookies = [] if who is None else [await fixture.sign_in(who)]
    reply = await fixture.check(f"{APP}/pay", *cookies, JSON, ("origin", SHOP))
    assert reply.status == 401
    assert header(reply, "access-control-allow-origin") == SHOP
    assert header(reply, "access-control-allow-credentials") == "true"
    assert "Origin" in (header(reply, "vary") or "")


@pytest.mark.parametrize(
    "origins",
    [
        pytest.param(["https://evil.example"], id="another site"),
        pytest.param(["null"], id="nobody says which"),
        pytest.param([SHOP, "https://evil.example"], id="two at once"),
        pytest.param([f"{SHOP}:443"], id="another spelling"),
        pytest.param([], id="none"),
    ],
)
async def test_other_sites_may_not(origins: list[str]) -> None:
    fixture = build_authorizer(SIGNED_IN, LEVELS)
    reply = await fixture.check(f"{APP}/pay", JSON, *(("origin", origin) for origin in origins))
    assert reply.status == 401
    assert header(reply, "access-control-allow-origin") is None


async def test_a_refusal_can_be_read_as_well() -> None:
    admin = replace(ADMIN, allowed_origins=(parse_origin(SHOP),))
    fixture = build_authorizer(SIGNED_IN, admin)
    reply = await fixture.check(f"{APP}/admin", await fixture.sign_in(), JSON, ("origin", SHOP))
    assert reply.status == 403
    assert header(reply, "access-control-allow-origin") == SHOP


CORS = replace(SIGNED_IN, cors_allow_preflight=True)
PREFLIGHT = (("origin", SHOP), ("access-control-request-method", "PUT"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "nginx-challenge"])
@pytest.mark.parametrize(
    ("route", "method", "headers", "status"),
    [
        pytest.param(CORS, "OPTIONS", PREFLIGHT, 200, id="a preflight"),
        pytest.param(SIGNED_IN, "OPTIONS", PREFLIGHT, 401, id="not allowed"),
        pytest.param(CORS, "OPTIONS", PREFLIGHT[:1], 401, id="any OPTIONS"),
        pytest.param(CORS, "OPTIONS", PREFLIGHT[1:], 401, id="without an origin"),
        pytest.param(CORS, "PUT", PREFLIGHT, 401, id="the request itself"),
    ],
)
async def test_preflights_pass_where_the_route_says_so(
    name: str, route: RouteSpec, method: str, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    """Fetch, section 3.3.5: a preflight never carries credentials."""
    reply = await build_authorizer(route).check(f"{APP}/", *headers, method=method, adapter=name)
    assert reply.status == status
