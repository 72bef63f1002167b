"""The lane and the framework say the same: the same bytes to two listeners over the same sessions
and clock, and the answers and records compared whole."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_sidecar.core.header_template import parse_header_template
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.fastpath.response_cache import Sought
from tests.adapters.requests import ASKING, Original
from tests.corpus.deployment import APP as VECTOR_APP
from tests.corpus.deployment import configuration
from tests.corpus.people import PERSONS, damaged, identity_of
from tests.corpus.placeholders import without_provider
from tests.corpus.runner import asked_about
from tests.corpus.test_bypass_vectors import VECTORS
from tests.corpus.vectors import Uninterpretable, Vector, filled, parse
from tests.header_names import SEPARATORS, respelled
from tests.routes.settings import Settings
from tests.support.authorizer import (
    ALICE,
    APP,
    HTML,
    JSON,
    NAVIGATION,
    NOW,
    House,
    asked,
    house,
)
from tests.support.fast_path import Both, both_of, bytes_of, listening
from tests.tokens.keyring import BAD, GOOD, Keyring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from authz_sidecar.adapters.base import RawRequest
    from authz_sidecar.core.types import Headers

DIALECTS = tuple(ASKING)
BOB = replace(ALICE, subject="bob", email="bob@example.net", name=None, groups=())
TEN = {
    "allow": {
        "and": [
            {"authenticated_user": True},
            {"domain": {"is": "example.com"}},
            {"groups": {"has": "eng"}},
            {"http_method": {"in": ["GET", "HEAD", "POST"]}},
            {"http_path": {"starts_with": "/team"}},
        ]
    },
    "deny": {
        "or": [
            {"http_path": {"starts_with": "/team/secret"}},
            {"source_ip": "198.51.100.0/24"},
            {"user": {"is": "mallory"}},
            {"time_of_day": {"after": "14:15:00", "before": "14:15:01", "timezone": "UTC"}},
            {"email": {"ends_with": "@evil.example"}},
        ]
    },
}
ROUTES = (
    Settings(name="app", allow_any_authenticated_user=True),
    Settings(name="team", prefix="/team", policy=TEN),
    Settings(name="admin", prefix="/admin", policy={"allow": {"and": [{"groups": {"has": "no"}}]}}),
    Settings(name="public", prefix="/public/", allow_public_unauthenticated_access=True),
    Settings(
        name="guests",
        prefix="/guests",
        allow_public_unauthenticated_access=True,
        identity="optional",
    ),
    Settings(name="preflight", prefix="/api", cors_allow_preflight=True, policy=TEN),
    Settings(
        name="told",
        prefix="/told",
        allow_any_authenticated_user=True,
        set_request_headers={
            "X-Agent": parse_header_template("${pomerium.request.headers.accept}")
        },
    ),
    Settings(
        name="asks",
        prefix="/asks",
        policy={
            "allow": {
                "or": [
                    {"http_header/x-team": {"is": "red"}},
                    {"http_header/x-request-id": {"is": "1"}},
                    {"query/tab": {"is": "red"}},
                ]
            }
        },
    ),
    Settings(
        name="machines",
        prefix="/machines",
        allow_any_authenticated_user=True,
        token_issuers=("ci",),
    ),
    Settings(
        name="levels",
        prefix="/levels",
        policy={
            "allow": {"and": [{"authentication": {"max_age": "10m"}}, {"groups": {"has": "eng"}}]},
            "deny": {
                "not": [
                    {"authentication": {"acr": ["gold"]}},
                    {"http_path": {"is": "/levels/free"}},
                ]
            },
        },
        allowed_origins=(parse_origin("https://shop.example.com"),),
    ),
    Settings(name="folded", from_="https://folded.example.com", paths="ignore_case", policy=TEN),
    Settings(name="local", from_="http://app.localhost:8080", allow_any_authenticated_user=True),
)


def furnished(**options: Any) -> House:
    return house(*ROUTES, token_issuers=("ci",), credentials=(Keyring(),), **options)


@pytest.fixture(scope="module")
async def both() -> AsyncIterator[Both]:
    async with listening(both_of(furnished())) as both:
        yield both


@pytest.fixture(scope="module")
async def cookies(both: Both) -> dict[str, str]:
    """The cookie lines that are tried, each by a name."""
    alice = (await both.signed_in(ALICE))[1]
    bob = (await both.signed_in(BOB))[1]
    stranger = f"__Host-authz={'A' * 43}"
    unknown = (await both.home.signed_in(ALICE))[1]  # signed in, and not near
    return {
        "alice": alice,
        "bob": bob,
        "nobody near": unknown,
        "unknown": stranger,
        "malformed": "__Host-authz=x",
        "twice": f"{alice}; {bob}",
        "among others": f"a=1; {alice}; b=2",
        "odd spacing": f"a=1;{alice}",
        "another's": "a=1; b=2",
        "flow": f"{alice}; __Host-authz-flow-1=x; c=3",
        "plain name": alice.removeprefix("__Host-"),
        "a sibling's": f"{alice}; !__Host-authz=x; \x85__Host-authz=x; __Host-authz",
        "a sibling's alone": alice.replace("__Host", "\xa0__Host"),
    }


# What people and programs ask


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_whoever_signed_in_in_whatever_way(both: Both, dialect: str) -> None:
    for at, acr, groups in (
        (NOW - 60, "gold", ("eng",)),
        (NOW - 60, "silver", ("eng",)),
        (NOW - 700, "gold", ("eng",)),
        (NOW - 700, None, ()),
        (None, None, ("eng",)),
    ):
        who = replace(ALICE, authenticated_at=at, acr=acr, groups=groups)
        _, cookie = await both.signed_in(who)
        for target in ("/levels/a", "/levels/free", "/"):
            for own in (NAVIGATION, (JSON,), (JSON, ("origin", "https://shop.example.com"))):
                for method in ("GET", "POST"):
                    headers = (*own, ("cookie", cookie))
                    original = Original(method=method, target=target, headers=headers)
                    await both.compare(bytes_of(ASKING[dialect](original)))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("headers", [NAVIGATION, (HTML,), (JSON,), ()], ids=str)
async def test_whoever_asks_for_whatever(
    both: Both, cookies: dict[str, str], dialect: str, headers: Headers
) -> None:
    answered = 0
    targets = (
        *("/", "/page?x=1", "/team/secret", "/admin", "/public/a", "/guests", "/told"),
        *("/caf%C3%A9", "/public/..%2fadmin", "/a//b", "/%zz"),
    )
    tried = [(target, cookie) for target in targets for cookie in (None, cookies["alice"])]
    tried += [("/team/a", cookie) for cookie in (None, *cookies.values())]
    for target, cookie in tried:
        own = headers if cookie is None else (*headers, ("cookie", cookie))
        for method in ("GET", "POST"):
            original = Original(method=method, target=target, headers=own)
            compared = await both.compare(bytes_of(ASKING[dialect](original)))
            answered += compared.answered
    assert answered > 40


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("original", "answered"),
    [
        pytest.param(Original(), True, id="plain"),
        pytest.param(Original(target="/a?"), True, id="empty query"),
        pytest.param(Original(target="/a?b=c&d=%zz;e"), True, id="query kept raw"),
        pytest.param(Original(method="PROPFIND"), None, id="other method"),
        pytest.param(Original(method="get"), False, id="lower-case method"),
        pytest.param(Original(host="APP.example.com.:443"), True, id="odd spelling of the host"),
        pytest.param(Original(host="app.example.com:8443"), True, id="other port"),
        pytest.param(Original(host="other.example.com"), True, id="unknown host"),
        pytest.param(Original(host="folded.example.com", target="/team/X"), None, id="letter case"),
        pytest.param(Original(proto="http", host="app.localhost:8080"), True, id="http"),
        pytest.param(Original(proto="ftp"), False, id="other scheme"),
        pytest.param(Original(host="a b"), False, id="no host"),
        pytest.param(Original(client="2001:db8::1"), True, id="IPv6"),
        pytest.param(Original(client="198.51.100.1", target="/team/"), True, id="network refused"),
        pytest.param(Original(client="unknown"), True, id="unreadable address"),
        pytest.param(Original(client="1.2.3.4, 5.6.7.8"), True, id="two hops"),
        pytest.param(Original(websocket=True), False, id="WebSocket"),
        pytest.param(Original(target="/a#b"), False, id="fragment"),
        pytest.param(Original(target="/a\\b"), False, id="backslash"),
        pytest.param(Original(headers=(("cookie", "a=1"), ("cookie", "b=2"))), False, id="crumbs"),
        pytest.param(Original(headers=(("authorization", "Bearer x"),)), False, id="token"),
        pytest.param(Original(headers=(("authorization", "a"),) * 2), False, id="two of them"),
        pytest.param(Original(target="/machines"), True, id="program without a token"),
        pytest.param(Original(target="/machines", headers=(GOOD,)), False, id="token that counts"),
        pytest.param(Original(target="/machines", headers=(BAD,)), False, id="token that does not"),
        pytest.param(
            Original(target="/machines", headers=(("authorization", "Basic eDp5"),)),
            False,
            id="another scheme",
        ),
        pytest.param(Original(headers=(("x-b", "caf\xe9"),)), False, id="byte beyond ASCII"),
        pytest.param(Original(headers=(("x-b", "a\tb"),)), False, id="tab"),
        pytest.param(Original(headers=(("x-b", ""),)), False, id="empty header"),
        pytest.param(Original(headers=(("x-b", " a "),)), False, id="more space"),
        pytest.param(Original(headers=(("transfer-encoding", "x"),)), False, id="framing"),
        pytest.param(Original(headers=(("origin", "https://a.example"),)), True, id="origin"),
        pytest.param(Original(headers=(("upgrade", "h2c"),)), False, id="other upgrade"),
        pytest.param(Original(headers=(("upgrade", "tcp"),)), False, id="some upgrade"),
        pytest.param(
            Original(websocket=True, headers=(("http2-settings", "AAMAAABk"),)),
            False,
            id="settings of HTTP/2 beside a WebSocket",
        ),
        pytest.param(
            Original(target="/public/a", headers=(("http2-settings", "AAMAAABk"),)),
            False,
            id="settings of HTTP/2",
        ),
        pytest.param(Original(headers=(("content-type", "application/grpc"),)), True, id="gRPC"),
        pytest.param(
            Original(
                method="OPTIONS",
                target="/api/x",
                headers=(("access-control-request-method", "PUT"), ("origin", "https://b.example")),
            ),
            True,
            id="preflight",
        ),
        pytest.param(Original(headers=(("x-long", "x" * 5000),)), True, id="long line"),
        pytest.param(Original(headers=(("x-long", "x" * 20_000),)), False, id="longer line"),
        pytest.param(Original(headers=(("x-many", "x"),) * 70), False, id="many lines"),
        pytest.param(
            Original(headers=(("range", "bytes=0-"), ("if-match", "x"))), True, id="range"
        ),
    ],
)
async def test_unusual_questions(
    both: Both,
    cookies: dict[str, str],
    dialect: str,
    original: Original,
    *,
    answered: bool | None,
) -> None:
    signed_in = replace(original, headers=(*original.headers, ("cookie", cookies["alice"])))
    for each in (original, signed_in):
        if each is signed_in and original.headers[:1] == (("cookie", "a=1"),):
            continue
        raw = ASKING[dialect](each)
        for _ in range(2):  # the second time from what was made ready
            for title in (False, True):
                data = bytes_of(raw, title=title)
                compared = await both.compare(data, bodiless=raw.method == "HEAD")
                if answered is not None:
                    assert compared.answered is answered


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param("?host=app.example.com&upgrade=", 200, id="as it is"),
        pytest.param("", 403, id="without a query"),
        pytest.param("?", 403, id="empty query"),
        pytest.param("?host=app.example.com", 403, id="the host alone"),
        pytest.param("?upgrade=&host=app.example.com", 403, id="another order"),
        pytest.param("?host=app.example.com&upgrade=&x=y", 403, id="more"),
        pytest.param("?host=app.example.com&upgrade=#", 400, id="fragment"),
        pytest.param("?host=admin.example.com&upgrade=", 403, id="another host"),
        pytest.param("?host=APP.example.com&upgrade=", 403, id="upper case"),
        pytest.param("?host=[::1]&upgrade=", 403, id="brackets"),
        pytest.param('?host="&upgrade=', 403, id="quotation mark"),
        pytest.param("?host=caf\xe9&upgrade=", 400, id="byte beyond ASCII"),
        pytest.param("?host=app.example.com&upgrade=h2c", 403, id="h2c"),
        pytest.param("?host=app.example.com&upgrade=websocket,h2c", 403, id="h2c, too"),
        pytest.param("?host=app.example.com&upgrade=h2c, websocket", 400, id="blank"),
        pytest.param("?host=app.example.com&upgrade=x HTTP/1.1", 400, id="version"),
        pytest.param("?host=app.example.com&upgrade=a\tb", 400, id="tab"),
        pytest.param("?host=app.example.com&upgrade=websocket", 200, id="WebSocket"),
        pytest.param("/?host=app.example.com&upgrade=", 404, id="slash"),
        pytest.param("x?host=app.example.com&upgrade=", 404, id="other path"),
    ],
)
async def test_the_address_of_the_controllers_question(
    both: Both, target: str, version: str, method: str, status: int
) -> None:
    raw = replace(ASKING["ingress-nginx"](Original(target="/public/a")), method=method)
    raw = replace(raw, target=f"/auth/ingress-nginx{target}")
    for title in (False, True):
        data = bytes_of(raw, version=version, title=title)
        compared = await both.compare(data, bodiless=method == "HEAD")
        assert compared.status == status
        assert compared.answered is (target == "?host=app.example.com&upgrade=")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "TRACE"])
@pytest.mark.parametrize(
    ("lines", "answered"),
    [
        pytest.param((), True, id="nothing more"),
        pytest.param((("Connection", "close"),), True, id="close"),
        pytest.param((("Connection", "keep-alive"),), True, id="keep-alive"),
        pytest.param((("Connection", "Close"),), True, id="letter case"),
        pytest.param((("Connection", "x-auth-user"),), False, id="other connection"),
        pytest.param((("Connection", "close"),) * 2, False, id="twice"),
        pytest.param((("Content-Length", "0"),), True, id="no body"),
        pytest.param((("Content-Length", "00"),), False, id="odd length"),
        pytest.param((("Expect", "100-continue"),), False, id="expect"),
        pytest.param((("Expect", "100-continue"), ("Content-Length", "4")), False, id="announced"),
        pytest.param((("Proxy-Connection", "close"),), False, id="proxy-connection"),
        pytest.param((("Keep-Alive", "timeout=5"),), False, id="keep-alive header"),
        pytest.param((("TE", "trailers"),), True, id="te"),
    ],
)
async def test_how_a_connection_goes_on(
    both: Both,
    cookies: dict[str, str],
    method: str,
    version: str,
    lines: Headers,
    *,
    answered: bool,
) -> None:
    raw = asked(f"{APP}/team/a", ("cookie", cookies["alice"]), HTML, *lines, by="caddy")
    data = bytes_of(replace(raw, method=method), version=version)
    compared = await both.compare(data, bodiless=method == "HEAD")
    assert compared.answered is (answered and method != "TRACE")


async def test_unready_providers_and_their_return(both: Both) -> None:
    data = bytes_of(asked(f"{APP}/", HTML))
    both.home.ready.clear()
    try:
        assert (await both.compare(data)).status == 503
    finally:
        both.home.ready.add("corp")
    assert (await both.compare(data)).status == 302


async def test_time_passes() -> None:
    """Through a window of the policy and the renewal of the assertion."""
    async with listening(both_of(furnished())) as both:
        now, cookie = both.home.now[0], await both.signed_in(ALICE)
        data = bytes_of(asked(f"{APP}/team/a", cookie, by="nginx"))
        window = now + 100  # 14:15
        seen = set()
        for at in (window - 0.5, window, window + 0.5, window + 1, window + 245, window + 300):
            both.home.now[0] = at
            for _ in range(2):
                compared = await both.compare(data)
                assert compared.answered
                seen.add((compared.status, compared.answer))
    assert {status for status, _ in seen} == {200, 403}
    assert len(seen) == 3  # two assertions, and one refusal


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_passed_once_does_not_pass_for_another_reason(
    both: Both, cookies: dict[str, str], dialect: str
) -> None:
    """Policies on headers, the query, the method or the address, with all else the same."""
    seen = []
    for path in ("/asks", "/team/a"):
        for headers, query, method, client in (
            ((("x-team", "red"),), "", "GET", "203.0.113.7"),
            ((("x-team", "blue"),), "", "GET", "203.0.113.7"),
            ((("x-request-id", "1"),), "", "GET", "203.0.113.7"),
            ((("x-request-id", "2"),), "", "GET", "203.0.113.7"),
            ((), "?tab=red", "GET", "203.0.113.7"),
            ((), "?tab=blue", "GET", "203.0.113.7"),
            ((), "", "DELETE", "203.0.113.7"),
            ((), "", "GET", "198.51.100.9"),
            ((), "", "GET", "203.0.113.7"),
        ):
            own = (*headers, ("cookie", cookies["alice"]))
            original = Original(method=method, target=path + query, headers=own, client=client)
            said = [await both.compare(bytes_of(ASKING[dialect](original))) for _ in range(3)]
            assert all(each.answered for each in said)
            seen.append(said[-1].records[0].outcome)
    if dialect == "ingress-nginx":
        seen[2] = "allow"  # the controller's own id is there as well, and two are none
    assert seen[:9] == ["allow", "deny", "allow", "deny", "allow", "deny", *["deny"] * 3]
    assert seen[9:] == [*["allow"] * 6, "deny", "deny", "allow"]


# Anything at all

VALUES = st.one_of(
    st.sampled_from(["GET", "https", "app.example.com", "/team/a?b", "203.0.113.7", "close", "0"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    st.text(st.characters(max_codepoint=255, blacklist_characters="\r\n"), max_size=10),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("host", "x-forwarded-method", "x-forwarded-proto", "x-forwarded-host"),
            *("x-forwarded-uri", "x-forwarded-for", "x-original-url", "x-original-method"),
            *("connection", "content-length", "cookie", "authorization", "accept", "upgrade"),
            *("X-Authz-Reason", "Sec-Fetch-Mode", "origin", "referer", "transfer-encoding"),
        ]
    ),
    st.from_regex(r"\A[A-Za-z_-]{1,12}\Z"),
)
PATHS = st.lists(
    st.sampled_from(["/", "team", "a", ".", "..", ";p", "%2f", "%41", "%zz", "\\", "#", "?", "é"]),
    max_size=6,
).map("".join)


@st.composite
def questions(draw: Any) -> tuple[str, RawRequest]:
    raw = ASKING[draw(st.sampled_from(DIALECTS))](
        Original(
            method=draw(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PURGE"])),
            target=draw(st.one_of(st.just("/team/a"), PATHS)) or "/",
            host=draw(st.sampled_from(["app.example.com", "folded.example.com", "x.example"])),
        )
    )
    lines = list(raw.headers)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines)))
        match draw(st.sampled_from(["add", "drop", "double", "change"])):
            case "drop" if at < len(lines):
                del lines[at]
            case "double" if at < len(lines):
                lines.insert(at, lines[at])
            case "change" if at < len(lines):
                lines[at] = lines[at][0], draw(VALUES)
            case _:
                lines.insert(at, (draw(NAMES), draw(VALUES)))
    who = draw(st.sampled_from(["", "alice", "bob", "among others", "twice", "malformed"]))
    return who, replace(raw, headers=tuple(lines))


@settings(max_examples=400)
@given(question=questions(), version=st.sampled_from(["1.1", "1.1", "1.0"]))
async def test_any_question(
    both: Both, cookies: dict[str, str], question: tuple[str, RawRequest], version: str
) -> None:
    who, raw = question
    if who:
        raw = replace(raw, headers=(*raw.headers, ("Cookie", cookies[who])))
    lengths = [value for name, value in raw.headers if name == "content-length"]
    if lengths and lengths != ["0"]:
        return  # an answer may come before its body does, or never
    await both.compare(bytes_of(raw, version=version), bodiless=raw.method == "HEAD")


# What attackers ask


@pytest.fixture(scope="module")
async def besieged() -> AsyncIterator[Both]:
    """The house of the bypass vectors."""
    routes: Any = configuration(issuer=ALICE.issuer, store="memory://")["routes"]
    renamed = [
        Settings(from_=route["from"], **{k: v for k, v in route.items() if k != "from"})
        for route in routes
    ]
    issuers = ("machines", "opaque")
    home = house(*renamed, token_issuers=issuers, credentials=(Keyring(),))
    async with listening(both_of(home)) as both:
        yield both


@pytest.fixture(scope="module")
async def people(besieged: Both) -> dict[tuple[str, str], str]:
    found = {}
    for host in (VECTOR_APP, "admin.example.com"):
        for name in sorted(PERSONS):
            identity = identity_of(name, issuer=ALICE.issuer)
            origin = parse_origin(f"https://{host}")
            token, session = await besieged.home.sessions.create(
                identity=identity, scope=besieged.home.cookies.scope_for(origin)
            )
            if name in {"expired", "revoked", "signed-out"}:
                await besieged.home.sessions.end(session)
            await besieged.remember(token)
            found[name, host] = token
    return found


def vector_bytes(vector: Vector, fill: Callable[[str], str]) -> bytes:
    headers = [(fill(name), fill(value)) for name, value in vector.headers]
    if not vector.values("host") and vector.http_version != "1.0":
        headers.insert(0, ("Host", "127.0.0.1"))
    body = fill(vector.body).encode()
    if body and not vector.values("content-length"):
        headers.append(("Content-Length", str(len(body))))
    head = f"{vector.method} {fill(vector.path)} HTTP/{vector.http_version}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return (head + lines + "\r\n").encode(vector.encoding) + body


def about_checks() -> list[Any]:
    """Those of any class that the runner can put into bytes, with a session of anybody."""
    found = []
    for document in VECTORS:
        try:
            vector = parse(document)
            vector_bytes(vector, lambda text: filled(text, without_provider(damaged_anybody)))
        except Uninterpretable:
            continue
        if vector.adapter is not None:
            found.append(pytest.param(vector, id=document["id"]))
    return found


def damaged_anybody(who: str) -> str:
    return damaged("A" * 43, who.partition("|")[2])


@pytest.mark.parametrize("target", ["/team/a", "/team/secret", "/asks", "/page?x=1"])
async def test_envoy_shuffles_its_lines(both: Both, cookies: dict[str, str], target: str) -> None:
    """Envoy keeps the headers of a check in a hash table, which it walks in any order."""
    shuffled = random.Random(target)
    own = (*NAVIGATION, ("cookie", cookies["alice"]), ("x-team", "red"), ("x-team", "blue"))
    raw = ASKING["envoy"](Original(method="GET", target=target, headers=own))
    for number in range(20):
        lines = [*raw.headers, ("x-request-id", f"{number}")]
        shuffled.shuffle(lines)
        compared = await both.compare(bytes_of(replace(raw, headers=tuple(lines))))
        assert compared.answered


@pytest.mark.parametrize(
    ("target", "answered"),
    [
        pytest.param("/team/a", True, id="again"),
        pytest.param("/team/a?", True, id="empty query"),
        pytest.param("/team/a?x=1&y=(2)", True, id="query"),
        pytest.param("/team/a?x=\u00e9", False, id="query beyond ASCII"),
        pytest.param("/team/a?x=\t", False, id="control byte in the query"),
        pytest.param("/team/a?x=" + "y" * 16_384, False, id="long query"),
        pytest.param("/team/../a", False, id="another reading of a path that passed"),
    ],
)
@pytest.mark.parametrize("dialect", ["nginx", "envoy"])
async def test_what_passed_is_no_pass_for_what_is_unusual(
    both: Both, cookies: dict[str, str], dialect: str, target: str, *, answered: bool
) -> None:
    def bytes_about(target: str) -> bytes:
        own = (*NAVIGATION, ("cookie", cookies["alice"]))
        return bytes_of(ASKING[dialect](Original(method="GET", target=target, headers=own)))

    for _ in range(2):
        assert (await both.compare(bytes_about("/team/a"))).answered
    assert (await both.compare(bytes_about(target))).answered is answered


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_names_that_could_be_taken_for_others_are_refused_by_both(
    both: Both, cookies: dict[str, str], dialect: str
) -> None:
    def bytes_with(*lines: tuple[str, str], title: bool = True) -> bytes:
        own = (*NAVIGATION, ("cookie", cookies["alice"]), *lines)
        raw = ASKING[dialect](Original(method="GET", target="/team/a", headers=own))
        return bytes_of(raw, title=title)

    # What passed without such a line is no pass for it.
    for _ in range(2):
        await both.compare(bytes_with())
    for separator in SEPARATORS:
        for name in respelled("x-auth-user", separator)[-1:]:
            for title in (True, False):
                compared = await both.compare(bytes_with((name, "mallory"), title=title))
                assert compared.status == 403
                assert [record.header for record in compared.records] == [name]
    for name in ("x-auth_groups", "x_forwarded-uri", "remote_user", "x-http_method_override"):
        assert (await both.compare(bytes_with((name, "x")))).status == 403
    # Others are the application's, and no reason to step aside.
    plain = await both.compare(bytes_with(("x_team", "red")))
    assert (plain.status, plain.answered) == ((await both.compare(bytes_with())).status, True)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_passed_passes_while_its_session_is_near(dialect: str) -> None:
    async with listening(both_of(furnished())) as both:
        _, cookie = await both.signed_in(ALICE)
        own = (*NAVIGATION, ("cookie", cookie))
        data = bytes_of(ASKING[dialect](Original(method="GET", target="/team/a", headers=own)))
        for _ in range(3):
            assert both.lane.reply(data) is not None
        both.near.held.clear()
        assert isinstance(both.lane.reply(data), Sought)


@pytest.mark.parametrize("vector", about_checks())
async def test_bypass_vectors(
    besieged: Both, people: dict[tuple[str, str], str], vector: Vector
) -> None:
    host = asked_about(vector)

    def session(who: str) -> str:
        name, _, damage = who.partition("|")
        person = (
            people.get((name, host)) or people[name if name in PERSONS else "alice", VECTOR_APP]
        )
        return damaged(person, damage)

    data = vector_bytes(vector, lambda text: filled(text, without_provider(session)))
    await besieged.compare(data, bodiless=vector.method == "HEAD")


async def test_those_who_may_not_ask(cookies: dict[str, str]) -> None:
    from authz_sidecar.adapters.trusted_peers import NO_NETWORKS

    async with listening(both_of(furnished(), trusted=NO_NETWORKS)) as both:
        raw = asked(f"{APP}/", ("cookie", cookies["alice"]))
        compared = await both.compare(bytes_of(raw))
        assert (compared.status, compared.answered) == (403, False)


async def test_other_configurations() -> None:
    """One cookie for a domain, several providers, cookies that are handed on."""
    for home in (
        furnished(domain="example.com"),
        furnished(providers=("corp", "other"), default_provider="corp"),
        furnished(strip_cookie=False),
        furnished(preset="authelia"),
    ):
        async with listening(both_of(home)) as both:
            _, cookie = await both.signed_in(ALICE)
            await asyncio.sleep(0)
            for by in ("nginx", "envoy"):
                for own in ((), (("cookie", f"{cookie}; a=1"),)):
                    for _ in range(2):
                        data = bytes_of(asked(f"{APP}/team/a", *own, by=by))
                        await both.compare(data)
