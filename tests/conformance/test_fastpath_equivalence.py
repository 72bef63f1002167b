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
from authz_sidecar.fastpath.response_cache import PendingLookup
from tests.adapters.requests import REQUEST_BUILDERS, ClientRequest
from tests.corpus.deployment import APP as VECTOR_APP
from tests.corpus.deployment import configuration
from tests.corpus.people import USER_NAMES, build_identity, mutate_token
from tests.corpus.placeholders import provider_independent_values
from tests.corpus.runner import requested_host
from tests.corpus.test_bypass_vectors import VECTORS
from tests.corpus.vectors import UnsupportedVector, Vector, fill_placeholders, parse_vector
from tests.header_names import SEPARATORS, respelled
from tests.routes.settings import RouteSpec
from tests.support.authorizer import (
    ALICE,
    APP,
    HTML,
    JSON,
    NAVIGATION,
    NOW,
    AuthorizerFixture,
    build_authorizer,
    raw_request,
)
from tests.support.fast_path import (
    FastPathComparison,
    build_comparison,
    running_listeners,
    serialize_request,
)
from tests.tokens.keyring import BAD, GOOD, FakeAuthenticator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from authz_sidecar.adapters.base import SubRequest
    from authz_sidecar.core.types import Headers

DIALECTS = tuple(REQUEST_BUILDERS)
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
    RouteSpec(name="app", allow_any_authenticated_user=True),
    RouteSpec(name="team", prefix="/team", policy=TEN),
    RouteSpec(
        name="admin", prefix="/admin", policy={"allow": {"and": [{"groups": {"has": "no"}}]}}
    ),
    RouteSpec(name="public", prefix="/public/", allow_public_unauthenticated_access=True),
    RouteSpec(
        name="guests",
        prefix="/guests",
        allow_public_unauthenticated_access=True,
        identity="optional",
    ),
    RouteSpec(name="preflight", prefix="/api", cors_allow_preflight=True, policy=TEN),
    RouteSpec(
        name="told",
        prefix="/told",
        allow_any_authenticated_user=True,
        set_request_headers={
            "X-Agent": parse_header_template("${pomerium.request.headers.accept}")
        },
    ),
    RouteSpec(
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
    RouteSpec(
        name="machines",
        prefix="/machines",
        allow_any_authenticated_user=True,
        token_issuers=("ci",),
    ),
    RouteSpec(
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
    RouteSpec(name="folded", from_="https://folded.example.com", paths="ignore_case", policy=TEN),
    RouteSpec(name="local", from_="http://app.localhost:8080", allow_any_authenticated_user=True),
)


def build_full_authorizer(**options: Any) -> AuthorizerFixture:
    return build_authorizer(
        *ROUTES, token_issuers=("ci",), authenticators=(FakeAuthenticator(),), **options
    )


@pytest.fixture(scope="module")
async def comparison() -> AsyncIterator[FastPathComparison]:
    async with running_listeners(build_comparison(build_full_authorizer())) as running:
        yield running


@pytest.fixture(scope="module")
async def cookies(comparison: FastPathComparison) -> dict[str, str]:
    """The cookie lines that are tried, each by a name."""
    alice = (await comparison.sign_in(ALICE))[1]
    bob = (await comparison.sign_in(BOB))[1]
    stranger = f"__Host-authz={'A' * 43}"
    unknown = (await comparison.fixture.sign_in(ALICE))[1]  # signed in, and not near
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
async def test_whoever_signed_in_in_whatever_way(
    comparison: FastPathComparison, dialect: str
) -> None:
    for at, acr, groups in (
        (NOW - 60, "gold", ("eng",)),
        (NOW - 60, "silver", ("eng",)),
        (NOW - 700, "gold", ("eng",)),
        (NOW - 700, None, ()),
        (None, None, ("eng",)),
    ):
        who = replace(ALICE, authenticated_at=at, acr=acr, groups=groups)
        _, cookie = await comparison.sign_in(who)
        for target in ("/levels/a", "/levels/free", "/"):
            for own in (NAVIGATION, (JSON,), (JSON, ("origin", "https://shop.example.com"))):
                for method in ("GET", "POST"):
                    headers = (*own, ("cookie", cookie))
                    original = ClientRequest(method=method, target=target, headers=headers)
                    await comparison.compare(serialize_request(REQUEST_BUILDERS[dialect](original)))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("headers", [NAVIGATION, (HTML,), (JSON,), ()], ids=str)
async def test_whoever_asks_for_whatever(
    comparison: FastPathComparison, cookies: dict[str, str], dialect: str, headers: Headers
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
            original = ClientRequest(method=method, target=target, headers=own)
            compared = await comparison.compare(
                serialize_request(REQUEST_BUILDERS[dialect](original))
            )
            answered += compared.from_fast_path
    assert answered > 40


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("original", "answered"),
    [
        pytest.param(ClientRequest(), True, id="plain"),
        pytest.param(ClientRequest(target="/a?"), True, id="empty query"),
        pytest.param(ClientRequest(target="/a?b=c&d=%zz;e"), True, id="query kept raw"),
        pytest.param(ClientRequest(method="PROPFIND"), None, id="other method"),
        pytest.param(ClientRequest(method="get"), False, id="lower-case method"),
        pytest.param(
            ClientRequest(host="APP.example.com.:443"), True, id="odd spelling of the host"
        ),
        pytest.param(ClientRequest(host="app.example.com:8443"), True, id="other port"),
        pytest.param(ClientRequest(host="other.example.com"), True, id="unknown host"),
        pytest.param(
            ClientRequest(host="folded.example.com", target="/team/X"), None, id="letter case"
        ),
        pytest.param(ClientRequest(proto="http", host="app.localhost:8080"), True, id="http"),
        pytest.param(ClientRequest(proto="ftp"), False, id="other scheme"),
        pytest.param(ClientRequest(host="a b"), False, id="no host"),
        pytest.param(ClientRequest(client="2001:db8::1"), True, id="IPv6"),
        pytest.param(
            ClientRequest(client="198.51.100.1", target="/team/"), True, id="network refused"
        ),
        pytest.param(ClientRequest(client="unknown"), True, id="unreadable address"),
        pytest.param(ClientRequest(client="1.2.3.4, 5.6.7.8"), True, id="two hops"),
        pytest.param(ClientRequest(websocket=True), False, id="WebSocket"),
        pytest.param(ClientRequest(target="/a#b"), False, id="fragment"),
        pytest.param(ClientRequest(target="/a\\b"), False, id="backslash"),
        pytest.param(
            ClientRequest(headers=(("cookie", "a=1"), ("cookie", "b=2"))), False, id="crumbs"
        ),
        pytest.param(ClientRequest(headers=(("authorization", "Bearer x"),)), False, id="token"),
        pytest.param(ClientRequest(headers=(("authorization", "a"),) * 2), False, id="two of them"),
        pytest.param(ClientRequest(target="/machines"), True, id="program without a token"),
        pytest.param(
            ClientRequest(target="/machines", headers=(GOOD,)), False, id="token that counts"
        ),
        pytest.param(
            ClientRequest(target="/machines", headers=(BAD,)), False, id="token that does not"
        ),
        pytest.param(
            ClientRequest(target="/machines", headers=(("authorization", "Basic eDp5"),)),
            False,
            id="another scheme",
        ),
        pytest.param(ClientRequest(headers=(("x-b", "caf\xe9"),)), False, id="byte beyond ASCII"),
        pytest.param(ClientRequest(headers=(("x-b", "a\tb"),)), False, id="tab"),
        pytest.param(ClientRequest(headers=(("x-b", ""),)), False, id="empty header"),
        pytest.param(ClientRequest(headers=(("x-b", " a "),)), False, id="more space"),
        pytest.param(ClientRequest(headers=(("transfer-encoding", "x"),)), False, id="framing"),
        pytest.param(ClientRequest(headers=(("origin", "https://a.example"),)), True, id="origin"),
        pytest.param(ClientRequest(headers=(("upgrade", "h2c"),)), False, id="other upgrade"),
        pytest.param(ClientRequest(headers=(("upgrade", "tcp"),)), False, id="some upgrade"),
        pytest.param(
            ClientRequest(websocket=True, headers=(("http2-settings", "AAMAAABk"),)),
            False,
            id="settings of HTTP/2 beside a WebSocket",
        ),
        pytest.param(
            ClientRequest(target="/public/a", headers=(("http2-settings", "AAMAAABk"),)),
            False,
            id="settings of HTTP/2",
        ),
        pytest.param(
            ClientRequest(headers=(("content-type", "application/grpc"),)), True, id="gRPC"
        ),
        pytest.param(
            ClientRequest(
                method="OPTIONS",
                target="/api/x",
                headers=(("access-control-request-method", "PUT"), ("origin", "https://b.example")),
            ),
            True,
            id="preflight",
        ),
        pytest.param(ClientRequest(headers=(("x-long", "x" * 5000),)), True, id="long line"),
        pytest.param(ClientRequest(headers=(("x-long", "x" * 20_000),)), False, id="longer line"),
        pytest.param(ClientRequest(headers=(("x-many", "x"),) * 70), False, id="many lines"),
        pytest.param(
            ClientRequest(headers=(("range", "bytes=0-"), ("if-match", "x"))), True, id="range"
        ),
    ],
)
async def test_unusual_questions(
    comparison: FastPathComparison,
    cookies: dict[str, str],
    dialect: str,
    original: ClientRequest,
    *,
    answered: bool | None,
) -> None:
    signed_in = replace(original, headers=(*original.headers, ("cookie", cookies["alice"])))
    for each in (original, signed_in):
        if each is signed_in and original.headers[:1] == (("cookie", "a=1"),):
            continue
        raw = REQUEST_BUILDERS[dialect](each)
        for _ in range(2):  # the second time from what was made ready
            for title in (False, True):
                data = serialize_request(raw, title_case=title)
                compared = await comparison.compare(data, bodiless=raw.method == "HEAD")
                if answered is not None:
                    assert compared.from_fast_path is answered


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
    comparison: FastPathComparison, target: str, version: str, method: str, status: int
) -> None:
    raw = replace(
        REQUEST_BUILDERS["ingress-nginx"](ClientRequest(target="/public/a")), method=method
    )
    raw = replace(raw, target=f"/auth/ingress-nginx{target}")
    for title in (False, True):
        data = serialize_request(raw, version=version, title_case=title)
        compared = await comparison.compare(data, bodiless=method == "HEAD")
        assert compared.status == status
        assert compared.from_fast_path is (target == "?host=app.example.com&upgrade=")


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
    comparison: FastPathComparison,
    cookies: dict[str, str],
    method: str,
    version: str,
    lines: Headers,
    *,
    answered: bool,
) -> None:
    raw = raw_request(f"{APP}/team/a", ("cookie", cookies["alice"]), HTML, *lines, adapter="caddy")
    data = serialize_request(replace(raw, method=method), version=version)
    compared = await comparison.compare(data, bodiless=method == "HEAD")
    assert compared.from_fast_path is (answered and method != "TRACE")


async def test_unready_providers_and_their_return(comparison: FastPathComparison) -> None:
    data = serialize_request(raw_request(f"{APP}/", HTML))
    comparison.fixture.ready_providers.clear()
    try:
        assert (await comparison.compare(data)).status == 503
    finally:
        comparison.fixture.ready_providers.add("corp")
    assert (await comparison.compare(data)).status == 302


async def test_time_passes() -> None:
    """Through a window of the policy and the renewal of the assertion."""
    async with running_listeners(build_comparison(build_full_authorizer())) as comparison:
        now, cookie = comparison.fixture.now[0], await comparison.sign_in(ALICE)
        data = serialize_request(raw_request(f"{APP}/team/a", cookie, adapter="nginx"))
        window = now + 100  # 14:15
        seen = set()
        for at in (window - 0.5, window, window + 0.5, window + 1, window + 245, window + 300):
            comparison.fixture.now[0] = at
            for _ in range(2):
                compared = await comparison.compare(data)
                assert compared.from_fast_path
                seen.add((compared.status, compared.response))
    assert {status for status, _ in seen} == {200, 403}
    assert len(seen) == 3  # two assertions, and one refusal


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_passed_once_does_not_pass_for_another_reason(
    comparison: FastPathComparison, cookies: dict[str, str], dialect: str
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
            original = ClientRequest(method=method, target=path + query, headers=own, client=client)
            said = [
                await comparison.compare(serialize_request(REQUEST_BUILDERS[dialect](original)))
                for _ in range(3)
            ]
            assert all(each.from_fast_path for each in said)
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
def questions(draw: Any) -> tuple[str, SubRequest]:
    raw = REQUEST_BUILDERS[draw(st.sampled_from(DIALECTS))](
        ClientRequest(
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
    comparison: FastPathComparison,
    cookies: dict[str, str],
    question: tuple[str, SubRequest],
    version: str,
) -> None:
    who, raw = question
    if who:
        raw = replace(raw, headers=(*raw.headers, ("Cookie", cookies[who])))
    lengths = [value for name, value in raw.headers if name == "content-length"]
    if lengths and lengths != ["0"]:
        return  # an answer may come before its body does, or never
    await comparison.compare(serialize_request(raw, version=version), bodiless=raw.method == "HEAD")


# What attackers ask


@pytest.fixture(scope="module")
async def corpus_comparison() -> AsyncIterator[FastPathComparison]:
    """The house of the bypass vectors."""
    routes: Any = configuration(issuer=ALICE.issuer, store="memory://")["routes"]
    renamed = [
        RouteSpec(from_=route["from"], **{k: v for k, v in route.items() if k != "from"})
        for route in routes
    ]
    issuers = ("machines", "opaque")
    fixture = build_authorizer(
        *renamed, token_issuers=issuers, authenticators=(FakeAuthenticator(),)
    )
    async with running_listeners(build_comparison(fixture)) as running:
        yield running


@pytest.fixture(scope="module")
async def user_cookies(corpus_comparison: FastPathComparison) -> dict[tuple[str, str], str]:
    cookies_by_user = {}
    for host in (VECTOR_APP, "admin.example.com"):
        for name in sorted(USER_NAMES):
            identity = build_identity(name, issuer=ALICE.issuer)
            origin = parse_origin(f"https://{host}")
            token, session = await corpus_comparison.fixture.sessions.create(
                identity=identity, scope=corpus_comparison.fixture.cookies.scope_for(origin)
            )
            if name in {"expired", "revoked", "signed-out"}:
                await corpus_comparison.fixture.sessions.end(session)
            await corpus_comparison.cache_session(token)
            cookies_by_user[name, host] = token
    return cookies_by_user


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
            vector = parse_vector(document)
            vector_bytes(
                vector,
                lambda text: fill_placeholders(text, provider_independent_values(damaged_anybody)),
            )
        except UnsupportedVector:
            continue
        if vector.adapter is not None:
            found.append(pytest.param(vector, id=document["id"]))
    return found


def damaged_anybody(who: str) -> str:
    return mutate_token("A" * 43, who.partition("|")[2])


@pytest.mark.parametrize("target", ["/team/a", "/team/secret", "/asks", "/page?x=1"])
async def test_envoy_shuffles_its_lines(
    comparison: FastPathComparison, cookies: dict[str, str], target: str
) -> None:
    """Envoy keeps the headers of a check in a hash table, which it walks in any order."""
    shuffled = random.Random(target)
    own = (*NAVIGATION, ("cookie", cookies["alice"]), ("x-team", "red"), ("x-team", "blue"))
    raw = REQUEST_BUILDERS["envoy"](ClientRequest(method="GET", target=target, headers=own))
    for number in range(20):
        lines = [*raw.headers, ("x-request-id", f"{number}")]
        shuffled.shuffle(lines)
        compared = await comparison.compare(serialize_request(replace(raw, headers=tuple(lines))))
        assert compared.from_fast_path


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
    comparison: FastPathComparison,
    cookies: dict[str, str],
    dialect: str,
    target: str,
    *,
    answered: bool,
) -> None:
    def bytes_about(target: str) -> bytes:
        own = (*NAVIGATION, ("cookie", cookies["alice"]))
        return serialize_request(
            REQUEST_BUILDERS[dialect](ClientRequest(method="GET", target=target, headers=own))
        )

    for _ in range(2):
        assert (await comparison.compare(bytes_about("/team/a"))).from_fast_path
    assert (await comparison.compare(bytes_about(target))).from_fast_path is answered


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_names_that_could_be_taken_for_others_are_refused_by_both(
    comparison: FastPathComparison, cookies: dict[str, str], dialect: str
) -> None:
    def bytes_with(*lines: tuple[str, str], title: bool = True) -> bytes:
        own = (*NAVIGATION, ("cookie", cookies["alice"]), *lines)
        raw = REQUEST_BUILDERS[dialect](ClientRequest(method="GET", target="/team/a", headers=own))
        return serialize_request(raw, title_case=title)

    # What passed without such a line is no pass for it.
    for _ in range(2):
        await comparison.compare(bytes_with())
    for separator in SEPARATORS:
        for name in respelled("x-auth-user", separator)[-1:]:
            for title in (True, False):
                compared = await comparison.compare(bytes_with((name, "mallory"), title=title))
                assert compared.status == 403
                assert [record.header for record in compared.records] == [name]
    for name in ("x-auth_groups", "x_forwarded-uri", "remote_user", "x-http_method_override"):
        assert (await comparison.compare(bytes_with((name, "x")))).status == 403
    # Others are the application's, and no reason to step aside.
    plain = await comparison.compare(bytes_with(("x_team", "red")))
    assert (plain.status, plain.from_fast_path) == (
        (await comparison.compare(bytes_with())).status,
        True,
    )


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_passed_passes_while_its_session_is_near(dialect: str) -> None:
    async with running_listeners(build_comparison(build_full_authorizer())) as comparison:
        _, cookie = await comparison.sign_in(ALICE)
        own = (*NAVIGATION, ("cookie", cookie))
        data = serialize_request(
            REQUEST_BUILDERS[dialect](ClientRequest(method="GET", target="/team/a", headers=own))
        )
        for _ in range(3):
            assert comparison.fast_path.try_respond(data) is not None
        comparison.session_cache.entries.clear()
        assert isinstance(comparison.fast_path.try_respond(data), PendingLookup)


@pytest.mark.parametrize("vector", about_checks())
async def test_bypass_vectors(
    corpus_comparison: FastPathComparison, user_cookies: dict[tuple[str, str], str], vector: Vector
) -> None:
    host = requested_host(vector)

    def session(who: str) -> str:
        name, _, damage = who.partition("|")
        person = (
            user_cookies.get((name, host))
            or user_cookies[name if name in USER_NAMES else "alice", VECTOR_APP]
        )
        return mutate_token(person, damage)

    data = vector_bytes(
        vector, lambda text: fill_placeholders(text, provider_independent_values(session))
    )
    await corpus_comparison.compare(data, bodiless=vector.method == "HEAD")


async def test_those_who_may_not_ask(cookies: dict[str, str]) -> None:
    from authz_sidecar.adapters.trusted_peers import NO_NETWORKS

    async with running_listeners(
        build_comparison(build_full_authorizer(), trusted=NO_NETWORKS)
    ) as comparison:
        raw = raw_request(f"{APP}/", ("cookie", cookies["alice"]))
        compared = await comparison.compare(serialize_request(raw))
        assert (compared.status, compared.from_fast_path) == (403, False)


async def test_other_configurations() -> None:
    """One cookie for a domain, several providers, cookies that are handed on."""
    for home in (
        build_full_authorizer(domain="example.com"),
        build_full_authorizer(providers=("corp", "other"), default_provider="corp"),
        build_full_authorizer(strip_cookie=False),
        build_full_authorizer(preset="authelia"),
    ):
        async with running_listeners(build_comparison(home)) as comparison:
            _, cookie = await comparison.sign_in(ALICE)
            await asyncio.sleep(0)
            for by in ("nginx", "envoy"):
                for own in ((), (("cookie", f"{cookie}; a=1"),)):
                    for _ in range(2):
                        data = serialize_request(raw_request(f"{APP}/team/a", *own, adapter=by))
                        await comparison.compare(data)
