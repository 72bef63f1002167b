"""What holds for every adapter: equal facts are read alike, and each answer is said in a way that
its proxy takes as it is meant (the table of statuses below)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.adapters.base import (
    Allowed,
    AuthzResponse,
    HttpResponse,
    LoginRequired,
    Page,
    Rejected,
    SubRequest,
)
from authz_sidecar.adapters.client_certificates import CertificateHeader
from authz_sidecar.core.browser_headers import ISOLATION_HEADERS
from authz_sidecar.core.types import CheckRequest, ClientCertificate, RequestAttribute
from authz_sidecar.core.urls import Origin
from authz_sidecar.errors import BadProxyRequest
from tests.adapters.requests import (
    REQUEST_BUILDERS,
    UNMODIFIED_RESPONSE_ADAPTERS,
    ClientRequest,
    find_adapter,
)

if TYPE_CHECKING:
    from authz_sidecar.core.types import Headers

EVERY = pytest.mark.parametrize("name", REQUEST_BUILDERS)
ALLOWING = pytest.mark.parametrize(
    "name", [name for name in REQUEST_BUILDERS if name != "nginx challenge"]
)
NAVIGATION: Headers = (
    ("accept", "text/html,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
)
SCRIPT: Headers = (("accept", "*/*"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"))
GRPC: Headers = (("content-type", "application/grpc+proto"), ("te", "trailers"))
START = f"https://app.example.com/.auth/start?rd={quote('https://app.example.com/a?b=1', safe='')}"

LOGIN = LoginRequired(location=START, navigation=True)
NO_NAVIGATION = replace(LOGIN, navigation=False)
FORBIDDEN = Rejected(
    status=403,
    reason="email-unauthorized",
    message="Access denied.",
    request_id="r1",
    page=Page(html="<p>no</p>", headers=(("content-type", "text/html; charset=utf-8"),)),
)
MALFORMED = Rejected(status=400, reason="bad-request", message="Not understood.")
THROTTLED = Rejected(status=429, reason="throttled", message="Wait.", retry_after=7)
TROUBLE = Rejected(status=503, reason="unavailable", message="Trouble.", retry_after=5)


def parse(name: str, original: ClientRequest) -> CheckRequest:
    return find_adapter(name).parse(REQUEST_BUILDERS[name](original))


def render(name: str, answer: AuthzResponse, original: ClientRequest) -> HttpResponse:
    adapter = find_adapter(name)
    return adapter.render(answer, adapter.parse(REQUEST_BUILDERS[name](original)))


def value(reply: HttpResponse, header: str) -> str | None:
    values = [text for name, text in reply.headers if name == header]
    assert len(values) <= 1, values
    return values[0] if values else None


# Reading


@pytest.mark.parametrize(
    "original",
    [
        pytest.param(ClientRequest(), id="plain"),
        pytest.param(ClientRequest(target="/a/b?x=1?y=%2f..&z=%zz"), id="query kept raw"),
        pytest.param(ClientRequest(target="/a?"), id="empty query"),
        pytest.param(ClientRequest(target="/%61/..%2fb;p//c"), id="path kept raw"),
        pytest.param(ClientRequest(method="PROPFIND", target="/dav"), id="other method"),
        pytest.param(ClientRequest(method="M-SEARCH"), id="method with a hyphen"),
        pytest.param(ClientRequest(host="APP.example.com.:443"), id="host in odd spelling"),
        pytest.param(ClientRequest(host="app.example.com:8443"), id="port"),
        pytest.param(ClientRequest(proto="http", host="app.localhost"), id="http"),
        pytest.param(ClientRequest(host="[::1]"), id="address as host"),
        pytest.param(ClientRequest(client="2001:db8::1"), id="client by IPv6"),
        pytest.param(ClientRequest(client="::ffff:203.0.113.7"), id="client mapped into IPv6"),
        pytest.param(ClientRequest(websocket=True, target="/ws"), id="websocket"),
        pytest.param(
            ClientRequest(headers=(("cookie", "a=1"), ("cookie", "b=2"), ("accept", "*/*"))),
            id="client's headers, doubles too",
        ),
    ],
)
def test_equal_facts_are_read_alike(original: ClientRequest) -> None:
    def essence(name: str) -> CheckRequest:
        request = parse(name, original)
        own = tuple(
            (header, text)
            for header, text in request.headers
            if header not in {"x-authz-reason", "x-request-id"}
        )
        return replace(request, adapter="", headers=own, is_challenge_phase=False)

    expected = essence("traefik")
    assert {name: essence(name) for name in REQUEST_BUILDERS} == dict.fromkeys(
        REQUEST_BUILDERS, expected
    )


@EVERY
def test_what_is_read(name: str) -> None:
    original = ClientRequest(
        method="POST",
        host="APP.example.com:443",
        target="/a%2Fb?c=d",
        headers=(("accept", "text/html"), ("cookie", "a=1")),
    )
    request = parse(name, original)
    assert request.method == "POST"
    assert request.origin == Origin("https", "app.example.com")
    assert (request.path, request.query) == ("/a%2Fb", "c=d")
    assert str(request.client) == "203.0.113.7"
    assert request.header("accept") == "text/html"
    assert request.header("cookie") == "a=1"
    assert not request.websocket
    facts = {
        RequestAttribute.METHOD,
        RequestAttribute.PATH,
        RequestAttribute.QUERY,
        RequestAttribute.CLIENT_ADDRESS,
        RequestAttribute.HEADERS,
    }
    assert request.attributes == find_adapter(name).attributes == facts


@EVERY
@pytest.mark.parametrize(
    "original",
    [
        pytest.param(ClientRequest(method="get"), id="lower-case method"),
        pytest.param(ClientRequest(method="GE T"), id="space in the method"),
        pytest.param(ClientRequest(method="GET1"), id="digit in the method"),
        pytest.param(ClientRequest(proto="javascript"), id="foreign scheme"),
        pytest.param(ClientRequest(proto="HTTPS"), id="upper-case scheme"),
        pytest.param(ClientRequest(proto="https,http"), id="two schemes"),
        pytest.param(ClientRequest(proto=""), id="no scheme"),
        pytest.param(ClientRequest(host=""), id="no host"),
        pytest.param(ClientRequest(host="app.example.com, admin.example.com"), id="two hosts"),
        pytest.param(ClientRequest(host="evil@app.example.com"), id="userinfo"),
        pytest.param(ClientRequest(host="evil.example/app.example.com\\"), id="path in the host"),
        pytest.param(ClientRequest(host="app.example.com?x"), id="query in the host"),
        pytest.param(ClientRequest(host="app.example.com\\@b"), id="backslash in the host"),
        pytest.param(ClientRequest(host="app_x.example.com"), id="underscore in the host"),
        pytest.param(ClientRequest(host="app\u3002example\uff0ecom"), id="host that folds"),
        pytest.param(ClientRequest(host="app.example.com:0"), id="port 0"),
        pytest.param(ClientRequest(host="app.example.com:x"), id="no port number"),
        pytest.param(ClientRequest(target="/a#b"), id="fragment"),
        pytest.param(ClientRequest(target="/a\\b"), id="backslash"),
        pytest.param(ClientRequest(target="/a b"), id="space"),
        pytest.param(ClientRequest(target="/caf\xe9"), id="raw byte"),
        pytest.param(ClientRequest(target="/a\x00b"), id="raw nul"),
        pytest.param(ClientRequest(target="/a\tb"), id="raw tab"),
        pytest.param(ClientRequest(target="/" + "a" * 20_000), id="endless"),
    ],
)
def test_refused_by_every_adapter(name: str, original: ClientRequest) -> None:
    with pytest.raises(BadProxyRequest):
        parse(name, original)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        *(
            (name, f"x-forwarded-{fact}")
            for name in ("nginx", "nginx challenge", "traefik", "caddy", "haproxy")
            for fact in ("method", "proto", "host", "uri")
        ),
        ("envoy", "host"),
        ("envoy", "x-forwarded-proto"),
        ("ingress-nginx", "x-original-url"),
        ("ingress-nginx", "x-original-method"),
    ],
)
def test_each_fact_must_come_exactly_once(name: str, header: str) -> None:
    asked = REQUEST_BUILDERS[name](ClientRequest())
    others = tuple(line for line in asked.headers if line[0] != header)
    (line,) = (line for line in asked.headers if line[0] == header)
    wrong: dict[str, Headers] = {
        "missing": others,
        "empty": (*others, (header, "")),
        "doubled": (*others, line, line),
        "doubled, one empty": (*others, (header, ""), line),
    }
    for headers in wrong.values():
        with pytest.raises(BadProxyRequest, match=header):
            find_adapter(name).parse(replace(asked, headers=headers))


FOREIGN: Headers = (
    ("x-original-url", "https://admin.example.com/admin"),
    ("x-original-uri", "/admin"),
    ("x-original-method", "POST"),
    ("x-rewrite-url", "/admin"),
    ("x-forwarded-prefix", "/admin"),
    ("x-forwarded-port", "8443"),
    ("x_forwarded_uri", "/admin"),
    ("x_forwarded_host", "admin.example.com"),
    ("x.forwarded.host", "admin.example.com"),
    ("forwarded", "for=10.1.2.3;host=admin.example.com;proto=http"),
    ("x-real-ip", "10.1.2.3"),
    ("true-client-ip", "10.1.2.3"),
    ("cf-connecting-ip", "10.1.2.3"),
    ("x-http-method-override", "POST"),
    ("x-envoy-original-path", "/admin"),
)
FORWARDED: Headers = (
    ("x-forwarded-method", "POST"),
    ("x-forwarded-host", "admin.example.com"),
    ("x-forwarded-uri", "/admin"),
)


@EVERY
def test_no_other_family_is_looked_at(name: str) -> None:
    own = {header for header, _ in REQUEST_BUILDERS[name](ClientRequest()).headers}
    foreign = tuple(line for line in (*FOREIGN, *FORWARDED) if line[0] not in own)
    plain, forged = parse(name, ClientRequest()), parse(name, ClientRequest(headers=foreign))
    assert replace(forged, headers=()) == replace(plain, headers=())


@EVERY
def test_a_family_alone_is_not_enough_for_another(name: str) -> None:
    for other, ask in REQUEST_BUILDERS.items():
        alike = {"nginx", "nginx challenge", "traefik", "caddy", "haproxy"}
        if {name, other} <= alike or name == other:
            continue
        asked = ask(ClientRequest())
        with pytest.raises(BadProxyRequest):
            find_adapter(name).parse(replace(asked, target="/auth/elsewhere"))


RAW_NAMES = st.sampled_from(
    [
        "host",
        *(f"x-forwarded-{fact}" for fact in ("method", "proto", "host", "uri", "for")),
        "x-original-url",
        "x-original-method",
        "authorization",
        "upgrade",
        "cookie",
    ]
)
RAW_TEXT = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.sampled_from(
        ["GET", "https", "wss", "app.example.com", "/", "/a?b", "https://a.b/c", "::1"]
    ),
)


@EVERY
@given(
    method=RAW_TEXT,
    target=RAW_TEXT.map(lambda text: f"/auth/envoy{text}") | RAW_TEXT,
    headers=st.lists(st.tuples(RAW_NAMES, RAW_TEXT), max_size=9).map(tuple),
)
def test_whatever_arrives_is_a_request_or_refused(
    name: str, method: str, target: str, headers: Headers
) -> None:
    raw = SubRequest(method=method, target=target, headers=headers, peer=None)
    try:
        request = find_adapter(name).parse(raw)
    except BadProxyRequest:
        return
    assert request.path.startswith("/")
    assert request.target.isascii()
    assert request.target.isprintable()
    assert request.origin.scheme in {"http", "https"}


# Answering

GET = ClientRequest(target="/a?b=1", headers=NAVIGATION)
POST = replace(GET, method="POST")
FETCH = replace(GET, headers=SCRIPT)
SOCKET = replace(GET, websocket=True, headers=())
CALL = replace(GET, method="POST", headers=GRPC)
PREFLIGHT = replace(
    GET,
    method="OPTIONS",
    headers=(("origin", "https://x.example"), ("access-control-request-method", "PUT")),
)


@pytest.mark.parametrize(
    ("original", "answer", "verify", "challenge", "direct"),
    [
        pytest.param(GET, Allowed(), 200, None, 200, id="allow"),
        pytest.param(GET, LOGIN, 401, 302, 302, id="login, navigation"),
        pytest.param(replace(GET, method="HEAD"), LOGIN, 401, 302, 302, id="login, head"),
        pytest.param(POST, LOGIN, 401, 303, 303, id="login, form"),
        pytest.param(FETCH, NO_NAVIGATION, 401, 401, 401, id="login, script"),
        pytest.param(SOCKET, NO_NAVIGATION, 401, 401, 401, id="login, websocket"),
        pytest.param(CALL, NO_NAVIGATION, 401, 401, 401, id="login, gRPC"),
        pytest.param(PREFLIGHT, NO_NAVIGATION, 401, 401, 401, id="login, preflight"),
        pytest.param(GET, FORBIDDEN, 403, 403, 403, id="forbidden"),
        pytest.param(FETCH, FORBIDDEN, 403, 403, 403, id="forbidden, script"),
        pytest.param(GET, THROTTLED, 403, 429, 429, id="throttled"),
        pytest.param(GET, MALFORMED, 403, 400, 400, id="malformed"),
        pytest.param(GET, TROUBLE, 503, 503, 503, id="own trouble"),
    ],
)
def test_statuses(
    original: ClientRequest, answer: AuthzResponse, verify: int, challenge: int | None, direct: int
) -> None:
    expected = dict.fromkeys(REQUEST_BUILDERS, direct)
    expected |= {"nginx": verify, "ingress-nginx": verify}
    if challenge is None:
        del expected["nginx challenge"]
    else:
        expected["nginx challenge"] = challenge
    assert {name: render(name, answer, original).status for name in expected} == expected


@EVERY
@pytest.mark.parametrize("answer", [LOGIN, NO_NAVIGATION, FORBIDDEN, THROTTLED, TROUBLE, MALFORMED])
@pytest.mark.parametrize("original", [GET, POST, FETCH, SOCKET, CALL, PREFLIGHT])
def test_no_refusal_looks_like_an_allow(
    name: str, answer: AuthzResponse, original: ClientRequest
) -> None:
    reply = render(name, answer, original)
    assert reply.status >= 300
    assert value(reply, "cache-control") == "no-store" or answer is FORBIDDEN
    for header, text in reply.headers:
        assert header == header.lower()
        assert header not in {"set-cookie", "connection", "x-auth-user", "cookie"}
        assert text.isascii()
        assert text.isprintable()


@EVERY
@pytest.mark.parametrize("answer", [LOGIN, NO_NAVIGATION, FORBIDDEN, THROTTLED, TROUBLE, MALFORMED])
@pytest.mark.parametrize("original", [GET, POST, FETCH, SOCKET, CALL, PREFLIGHT])
def test_every_refusal_is_kept_apart_from_other_pages(
    name: str, answer: AuthzResponse, original: ClientRequest
) -> None:
    reply = render(name, answer, original)
    if reply.status in range(300, 400):
        assert value(reply, "cross-origin-opener-policy") is None
    else:
        assert {header: value(reply, header) for header, _ in ISOLATION_HEADERS} == dict(
            ISOLATION_HEADERS
        )


@EVERY
@pytest.mark.parametrize("original", [GET, POST, FETCH, SOCKET, CALL, PREFLIGHT])
def test_what_is_allowed_says_nothing_about_the_page(name: str, original: ClientRequest) -> None:
    reply = render(name, Allowed(identity=(("x-auth-user", "alice"),)), original)
    if reply.status == 200:
        assert not {header for header, _ in ISOLATION_HEADERS} & {
            header for header, _ in reply.headers
        }


@EVERY
@pytest.mark.parametrize("answer", [FORBIDDEN, MALFORMED, TROUBLE, THROTTLED])
def test_a_refusal_is_never_a_redirect(name: str, answer: AuthzResponse) -> None:
    reply = render(name, answer, GET)
    assert reply.status not in range(300, 400)
    assert value(reply, "location") is None
    assert find_adapter(name).render(answer, None).status == reply.status


@pytest.mark.parametrize("name", UNMODIFIED_RESPONSE_ADAPTERS)
def test_sign_in_first_for_a_person(name: str) -> None:
    reply = render(name, LOGIN, GET)
    assert value(reply, "location") == START
    assert value(reply, "cache-control") == "no-store"
    assert "Sec-Fetch-Mode" in (value(reply, "vary") or "")
    assert reply.body == b""


@pytest.mark.parametrize("name", UNMODIFIED_RESPONSE_ADAPTERS)
def test_sign_in_first_for_a_program(name: str) -> None:
    reply = render(name, NO_NAVIGATION, FETCH)
    assert value(reply, "www-authenticate") == "Bearer"
    assert value(reply, "content-type") == "application/json"
    assert value(reply, "location") is None
    document = json.loads(reply.body)
    assert document["error"] == "unauthenticated"
    assert document["sign_in_url"] == START


@pytest.mark.parametrize("name", UNMODIFIED_RESPONSE_ADAPTERS)
@pytest.mark.parametrize(
    ("answer", "status"), [(NO_NAVIGATION, "16"), (FORBIDDEN, "7"), (TROUBLE, "14")]
)
def test_grpc_is_told_by_a_status_of_its_own(name: str, answer: AuthzResponse, status: str) -> None:
    reply = render(name, answer, CALL)
    assert value(reply, "grpc-status") == status
    assert value(reply, "grpc-message")
    assert value(reply, "content-type") == "application/grpc"
    assert reply.body == b""


@pytest.mark.parametrize("name", UNMODIFIED_RESPONSE_ADAPTERS)
def test_a_refusal_is_a_page_for_people_and_json_for_programs(name: str) -> None:
    page = render(name, FORBIDDEN, GET)
    assert page.body == b"<p>no</p>"
    assert value(page, "content-type") == "text/html; charset=utf-8"
    for original in (FETCH, SOCKET, PREFLIGHT):
        document = json.loads(render(name, FORBIDDEN, original).body)
        assert document["error"] == "email-unauthorized"
        assert document["request_id"] == "r1"


@pytest.mark.parametrize("name", UNMODIFIED_RESPONSE_ADAPTERS)
def test_retry_after(name: str) -> None:
    assert value(render(name, THROTTLED, GET), "retry-after") == "7"
    assert value(render(name, TROUBLE, FETCH), "retry-after") == "5"


PASSED = Allowed(
    identity=(("x-auth-user", "alice"), ("x-auth-groups", "a,b")),
    cleared=("x-auth-email", "x_auth_user", "x_auth_email"),
    cookie="theme=dark",
    set_cookie="__Host-authz=new; Path=/",
)


@ALLOWING
def test_allow(name: str) -> None:
    reply = render(name, PASSED, GET)
    assert (reply.status, reply.body) == (200, b"")
    assert value(reply, "x-auth-user") == "alice"
    assert value(reply, "x-auth-groups") == "a,b"
    assert value(reply, "cookie") == "theme=dark"
    assert value(reply, "set-cookie") == "__Host-authz=new; Path=/"
    for header in ("x-auth-email", "www-authenticate", "location", "x-authz-reason"):
        assert value(reply, header) is None


@ALLOWING
def test_an_allow_without_cookies_names_none(name: str) -> None:
    reply = render(name, replace(PASSED, cookie="", set_cookie=None), GET)
    assert value(reply, "cookie") is None
    assert value(reply, "set-cookie") is None


def test_envoy_is_told_what_to_remove() -> None:
    header = "x-envoy-auth-headers-to-remove"
    names = (value(render("envoy", PASSED, GET), header) or "").split(", ")
    assert names == list(PASSED.cleared)
    without_cookie = replace(PASSED, cookie="")
    names = (value(render("envoy", without_cookie, GET), header) or "").split(", ")
    assert names == [*PASSED.cleared, "cookie"]
    assert not set(names) & {name for name, _ in PASSED.identity}
    assert value(render("envoy", LOGIN, GET), header) is None
    others = set(REQUEST_BUILDERS) - {"envoy", "nginx challenge"}
    assert all(value(render(name, PASSED, GET), header) is None for name in others)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (LOGIN, "login"),
        (FORBIDDEN, "forbidden"),
        (MALFORMED, "bad-request"),
        (THROTTLED, "throttled"),
        (TROUBLE, "unavailable"),
    ],
)
@pytest.mark.parametrize("name", ["nginx", "ingress-nginx"])
def test_nginx_is_told_why_in_a_header(name: str, answer: AuthzResponse, reason: str) -> None:
    reply = render(name, answer, GET)
    assert value(reply, "x-authz-reason") == reason
    assert reply.body == b""
    assert value(reply, "www-authenticate") is None
    assert value(reply, "location") is None


def test_ingress_nginx_is_told_where_to_sign_in() -> None:
    assert value(render("ingress-nginx", LOGIN, GET), "x-auth-redirect") == START
    assert value(render("ingress-nginx", FORBIDDEN, GET), "x-auth-redirect") is None


CERTIFICATE = CertificateHeader(name="x-client-cert", format="nginx")


@EVERY
def test_certificates_are_told_where_the_proxy_forwards_them(name: str) -> None:
    adapter = find_adapter(name, certificate=CERTIFICATE)
    assert adapter.attributes == find_adapter(name).attributes | {RequestAttribute.CERTIFICATE}
    controllers = name == "ingress-nginx"  # which tells it in the address of its question
    nothing = ClientRequest(certificate=",") if controllers else ClientRequest()
    none = replace(
        nothing,
        headers=(("accept", "*/*"), ("x-client-cert", "forged" if controllers else "NONE")),
        certificate="NONE," if controllers else None,
    )
    request = adapter.parse(REQUEST_BUILDERS[name](none))
    assert request.certificate == ClientCertificate(presented=False, valid=False)
    assert RequestAttribute.CERTIFICATE in request.attributes
    assert request.header_values("x-client-cert") == ()
    assert adapter.parse(REQUEST_BUILDERS[name](nothing)).certificate is None
    assert adapter.name == find_adapter(name).name
    assert adapter.render(FORBIDDEN, request) == render(name, FORBIDDEN, ClientRequest())


@EVERY
def test_no_other_header_tells_of_certificates(name: str) -> None:
    """Whoever believes the usual names when another one is configured believes clients."""
    usual = ("x-forwarded-client-cert", "x-forwarded-tls-client-cert", "client-cert")
    written = (*usual, "ssl-client-cert", "ssl-client-verify")
    original = ClientRequest(headers=tuple((header, "NONE") for header in written))
    told = replace(original, certificate="," if name == "ingress-nginx" else None)
    for adapter, asked in (
        (find_adapter(name), original),
        (find_adapter(name, certificate=CERTIFICATE), told),
    ):
        request = adapter.parse(REQUEST_BUILDERS[name](asked))
        assert request.certificate is None
        assert not {header for header, _ in request.headers} & set(usual)
    assert RequestAttribute.CERTIFICATE not in find_adapter(name).attributes
