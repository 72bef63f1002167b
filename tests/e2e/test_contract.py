"""What the sidecar and the application receive, through each real proxy."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import in_every_dialect
from tests.servers.proxy import (
    APP_HOST,
    AUTH_HOST,
    OPEN_HOST,
    PUBLIC_HOST,
    Facts,
)
from tests.servers.visitor import NAVIGATION
from tests.servers.wire import Lines, Reader, answer_bytes, connect, request_bytes

if TYPE_CHECKING:
    from tests.e2e.conftest import Stage

pytestmark = in_every_dialect

IDENTITY = ("x-auth-user", "x-auth-email", "x-auth-groups", "x-auth-name", "x-auth-assertion")
UPGRADE = (
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)

EACH_HOST = pytest.mark.parametrize(
    ("host", "user"),
    [
        pytest.param(APP_HOST, "alice", id="protected"),
        pytest.param(PUBLIC_HOST, None, id="public"),
        pytest.param(OPEN_HOST, None, id="not asked about"),
    ],
)

# Everything here says `forged`, so that one look for the word finds whatever got through.
FORGED = (
    ("X-Auth-User", "forged"),
    ("x-auth-user", "forged again"),
    ("X_Auth_User", "forged"),
    ("X-Auth_User", "forged"),
    ("X-Auth-Email", "forged@example.com"),
    ("X-Auth-Groups", "forged"),
    ("X_Auth_Groups", "forged"),
    ("X-Auth-Name", "forged"),
    ("X-Auth-Assertion", "forged"),
    ("X-Forwarded-Uri", "/forged"),
    ("X-Forwarded-Host", "forged.example.com"),
    ("X-Forwarded-Method", "FORGED"),
    ("X-Forwarded-Proto", "forged"),
    ("X-Forwarded-For", "forged"),
    ("X-Forwarded-Prefix", "/forged"),
    ("X-Forwarded-User", "forged"),
    ("X-Original-URL", "/forged"),
    ("X-Original-URI", "/forged"),
    ("X-Original-Method", "FORGED"),
    ("X-Rewrite-URL", "/forged"),
    ("Forwarded", "for=forged"),
    ("X-Real-IP", "forged"),
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "DELETE"])
def test_an_allowed_request_is_judged_and_arrives_as_it_was_sent(stage: Stage, method: str) -> None:
    session = stage.cookie("alice")
    body = b"a=1&b=2" if method == "POST" else b""
    answer = stage.send(method, "/some/path?x=1&y=%2F", [session], body)
    assert answer.status == 200
    assert stage.facts() == Facts(
        method=method, scheme="https", host=APP_HOST, target="/some/path?x=1&y=%2F"
    )
    question = stage.tap.first()
    assert (question.asked.body, question.surplus) == (b"", b"")
    assert question.asked.one("content-length") in (None, "0")
    assert "transfer-encoding" not in question.asked.names
    received = stage.app.only()
    assert (received.method, received.target) == (method, "/some/path?x=1&y=%2F")
    assert received.body == body
    assert received.one("host") == APP_HOST
    assert received.one("x-forwarded-proto") == "https"


def test_the_application_is_told_who_it_is(stage: Stage) -> None:
    stage.send("GET", "/", [stage.cookie("alice")])
    received = stage.app.only()
    assert received.one("x-auth-user") == "alice"
    assert received.one("x-auth-email") == "alice@example.com"
    assert set((received.one("x-auth-groups") or "").split(",")) == {"admins", "staff"}
    assert received.one("x-auth-name")
    assert (received.one("x-auth-assertion") or "").count(".") == 2


def test_the_client_address_is_the_peers(stage: Stage) -> None:
    stage.send("GET", "/", [stage.cookie("alice"), ("X-Forwarded-For", "6.6.6.6")])
    assert stage.tap.first().asked.one("x-forwarded-for") == "127.0.0.1"
    assert stage.app.only().one("x-forwarded-for") == "127.0.0.1"


def test_a_websocket_is_judged_once_and_then_flows(stage: Stage) -> None:
    session = stage.cookie("alice")
    with contextlib.closing(connect(stage.port, server_name=APP_HOST)) as connection:
        lines = [("Host", APP_HOST), ("Connection", "Upgrade"), *UPGRADE, session]
        lines.append(("Origin", f"https://{APP_HOST}"))
        connection.sendall(request_bytes("GET", "/socket?room=1", lines))
        reader = Reader(connection)
        answer = reader.answer()
        assert answer is not None
        assert answer.status == 101
        connection.sendall(b"\x81\x85abcd\x09\x07\x0f\x08\x0e")
        assert reader.exactly(11) == b"\x81\x85abcd\x09\x07\x0f\x08\x0e"
    facts = stage.facts()
    assert (facts.method, facts.target) == ("GET", "/socket?room=1")
    assert facts.scheme in ("https", "wss")
    received = stage.app.only()
    assert received.one("x-auth-user") == "alice"
    assert session[1] not in str(received.headers)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([("Origin", f"https://{APP_HOST}")], id="nobody is signed in"),
        pytest.param([("Origin", "https://evil.example")], id="of a foreign origin"),
    ],
)
def test_a_websocket_that_is_refused_never_opens(
    stage: Stage, lines: list[tuple[str, str]]
) -> None:
    session = [stage.cookie("alice")] if "evil" in lines[0][1] else []
    answer = stage.send("GET", "/socket", [("Connection", "Upgrade"), *UPGRADE, *lines, *session])
    # The controller leads everybody to the sign-in; no WebSocket opens by a redirect.
    assert answer.status in (401, 403) or (answer.status, stage.kind.name) == (302, "ingress-nginx")
    assert not stage.app.received


@pytest.mark.parametrize(
    "upgrade",
    [
        pytest.param(("h2c",), id="h2c"),
        pytest.param(("h2c, websocket",), id="h2c before websocket"),
        pytest.param(("websocket, h2c",), id="h2c behind websocket"),
        pytest.param(("h2c", "websocket"), id="h2c on a line before websocket"),
        pytest.param(("websocket", "h2c"), id="h2c on a line behind websocket"),
        pytest.param(("tcp",), id="tcp"),
        pytest.param(("websockets",), id="almost websocket"),
        pytest.param(("tcp", "websocket"), id="tcp on a line before websocket"),
        pytest.param(("websocket", "tcp"), id="tcp on a line behind websocket"),
    ],
)
@pytest.mark.parametrize(
    "settings", [(), (("HTTP2-Settings", "AAMAAABk"),)], ids=["", "with settings of HTTP/2"]
)
def test_no_tunnel_opens_but_a_websocket(
    stage: Stage, upgrade: tuple[str, ...], settings: tuple[tuple[str, str], ...]
) -> None:
    offered = [("Upgrade", value) for value in upgrade]
    lines = [("Connection", "Upgrade, HTTP2-Settings"), *offered, *settings]
    with contextlib.suppress(TimeoutError):
        stage.send_raw(
            request_bytes("GET", "/", [("Host", PUBLIC_HOST), *lines]),
            server_name=PUBLIC_HOST,
            timeout=3,
        )
    for received in stage.app.received:
        assert received.all("upgrade") in ((), ("websocket",))
        assert "upgrade" in received.names or "upgrade" not in str(received.all("connection"))


@pytest.mark.parametrize("upgrade", ["h2c", "tcp"])
def test_no_tunnel_opens_on_a_host_that_is_not_asked_about(stage: Stage, upgrade: str) -> None:
    lines = [("Host", OPEN_HOST), ("Connection", "Upgrade"), ("Upgrade", upgrade)]
    with contextlib.suppress(TimeoutError):
        stage.send_raw(request_bytes("GET", "/", lines), server_name=OPEN_HOST, timeout=3)
    passed = [received.one("upgrade") for received in stage.app.received]
    # No setting of the controller holds it back: docs/ingress-nginx.md says so.
    assert passed in ([], [None]) or (passed, stage.kind.name) == ([upgrade], "ingress-nginx")


@EACH_HOST
@pytest.mark.parametrize("order", ["forged first", "forged last"])
def test_forged_headers_reach_nobody(stage: Stage, host: str, user: str | None, order: str) -> None:
    honest = [stage.cookie(user)] if user else []
    lines = [*FORGED, *honest] if order == "forged first" else [*honest, *FORGED]
    assert stage.send("GET", "/page", lines, host=host).status == 200
    received = stage.app.only()
    # The controller says under a name of its own what `X-Forwarded-For` was.
    written = [line for line in received.headers if line[0] != "X-Original-Forwarded-For"]
    assert "forged" not in str(written).lower()
    assert len(written) == len(received.headers) or stage.kind.name == "ingress-nginx"
    assert received.one("x-auth-user") == user
    if user is None:
        assert not received.names.intersection(IDENTITY)
    if host != OPEN_HOST:
        facts = stage.facts()
        assert facts == Facts(method="GET", scheme="https", host=host, target="/page")
        assert "forged" not in stage.tap.first().asked.all("x-forwarded-for")


@pytest.mark.parametrize("host", [APP_HOST, AUTH_HOST])
def test_forged_headers_do_not_pass_for_an_identity_on_the_sidecars_pages(
    stage: Stage, host: str
) -> None:
    lines = [line for line in FORGED if not line[0].lower().startswith("x-forwarded")]
    answer = stage.send(
        "GET", "/.auth/userinfo", [*lines, ("Accept", "application/json")], host=host
    )
    assert "forged" not in answer.text
    assert answer.status != 200


@pytest.mark.parametrize(
    "named",
    ["close, X-Auth-User", "X-Auth-User, X-Auth-Email, X-Auth-Groups", "X-Forwarded-Uri, Cookie"],
)
@pytest.mark.parametrize("upgrade", [(), UPGRADE], ids=["plain", "websocket"])
def test_headers_named_in_connection_do_not_strip_the_identity(
    stage: Stage, named: str, upgrade: tuple[tuple[str, str], ...]
) -> None:
    connection = f"Upgrade, {named}" if upgrade else named
    answer = stage.send("GET", "/", [stage.cookie("alice"), ("Connection", connection), *upgrade])
    # Some proxies take the Cookie away as told, and others refuse such a line; nobody is let in.
    assert answer.status in (101, 200, 302, 400, 401)
    for received in stage.app.received:
        assert received.one("x-auth-user") == "alice"
        assert "x-auth" not in ",".join(received.all("connection")).lower()


def hosts_agree(stage: Stage) -> None:
    """Nobody was judged for one host and served by another."""
    judged = [
        stage.kind.facts(question.asked).host
        for question in stage.tap.questions
        if question.answered is not None and question.answered.status == 200
    ]
    for received, host in zip(stage.app.received, judged, strict=True):
        assert received.one("host") == host
        # In the absolute form the target names the host too.
        if not received.target.startswith("/"):
            assert received.target.partition("://")[2].startswith(f"{host}/")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            f"GET https://{APP_HOST}/secret HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\n\r\n",
            id="absolute form of another host",
        ),
        pytest.param(
            f"GET https://{PUBLIC_HOST}/ HTTP/1.1\r\nHost: {APP_HOST}\r\n\r\n",
            id="absolute form of a laxer host",
        ),
        pytest.param(
            f"GET /secret HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nHost: {APP_HOST}\r\n\r\n",
            id="two hosts, the laxer first",
        ),
        pytest.param(
            f"GET /secret HTTP/1.1\r\nHost: {APP_HOST}\r\nHost: {PUBLIC_HOST}\r\n\r\n",
            id="two hosts, the laxer last",
        ),
        pytest.param("GET /secret HTTP/1.1\r\nHost: \r\n\r\n", id="empty host"),
        pytest.param("GET /secret HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param("GET /secret HTTP/1.0\r\n\r\n", id="http/1.0 without a host"),
        pytest.param(
            f"GET /secret HTTP/1.1\r\nHost: {PUBLIC_HOST}/x\r\n\r\n", id="a path in the host"
        ),
        pytest.param(
            f"GET /secret HTTP/1.1\r\nHost: evil@{APP_HOST}\r\n\r\n", id="userinfo in the host"
        ),
        pytest.param(
            "GET /secret HTTP/1.1\r\nHost: unknown.example.com\r\n\r\n", id="unknown host"
        ),
        pytest.param(f"OPTIONS * HTTP/1.1\r\nHost: {APP_HOST}\r\n\r\n", id="options of everything"),
        pytest.param(f"CONNECT {APP_HOST}:443 HTTP/1.1\r\nHost: {APP_HOST}\r\n\r\n", id="connect"),
    ],
)
def test_a_host_with_two_meanings_serves_nobody(stage: Stage, raw: str) -> None:
    answer = stage.send_raw(raw.encode())
    hosts_agree(stage)
    if stage.app.received:
        assert [each.one("host") for each in stage.app.received] == [PUBLIC_HOST]
    elif answer is not None:
        # Traefik and Caddy answer `OPTIONS *` themselves.
        assert answer.status >= 300 or raw.startswith("OPTIONS *")


@pytest.mark.parametrize(
    ("authority", "host"), [(PUBLIC_HOST, APP_HOST), (APP_HOST, PUBLIC_HOST), (APP_HOST, "")]
)
def test_http2_with_an_authority_and_another_host(stage: Stage, authority: str, host: str) -> None:
    stage.send_http2(
        (
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", authority),
            (":path", "/secret"),
            ("host", host),
        ),
        server_name=authority,
    )
    hosts_agree(stage)
    assert all(received.one("host") == PUBLIC_HOST for received in stage.app.received)


def test_http2_is_judged_like_http1(stage: Stage) -> None:
    name, value = stage.cookie("alice")
    # RFC 9113 section 8.2.3: a client may send its cookies one by one.
    crumbs = tuple((name.lower(), crumb) for crumb in (*value.split("; "), "theme=dark", "n=1"))
    stage.send_http2(
        (
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", APP_HOST),
            (":path", "/two?x=1"),
            *crumbs,
        )
    )
    assert stage.facts() == Facts(method="GET", scheme="https", host=APP_HOST, target="/two?x=1")
    received = stage.app.only()
    assert received.one("x-auth-user") == "alice"
    assert received.one("cookie") == "theme=dark; n=1"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["{}"], None, id="nothing else"),
        pytest.param(["{}; theme=dark"], "theme=dark", id="session first"),
        pytest.param(["theme=dark; {}"], "theme=dark", id="session last"),
        pytest.param(["a=1; {}; b=2"], "a=1; b=2", id="session between"),
        pytest.param(['odd="a b"; {}; novalue; x=y=z'], 'odd="a b"; novalue; x=y=z', id="odd ones"),
    ],
)
def test_the_application_gets_its_cookies_and_never_the_session(
    stage: Stage, lines: list[str], expected: str | None
) -> None:
    session = stage.cookie("alice")[1]
    cookies = [("Cookie", line.format(session)) for line in lines]
    assert stage.send("GET", "/", cookies).status == 200
    received = stage.app.only()
    assert received.one("x-auth-user") == "alice"
    assert received.one("cookie") == expected


def test_cookies_of_a_visitor_without_a_session_arrive(stage: Stage) -> None:
    stage.send("GET", "/", [("Cookie", "theme=dark; n=1")], host=PUBLIC_HOST)
    assert stage.app.only().one("cookie") == "theme=dark; n=1"


def test_a_session_is_stripped_on_public_hosts_too(stage: Stage) -> None:
    session = stage.cookie("alice")[1]
    stage.send("GET", "/", [("Cookie", f"{session}; theme=dark")], host=PUBLIC_HOST)
    assert stage.app.only().one("cookie") == "theme=dark"


@pytest.mark.parametrize("byte", ["\x85", "\xa0", "\xad", "!"], ids=ascii)
def test_a_cookie_of_a_sibling_host_keeps_nobody_out(stage: Stage, byte: str) -> None:
    # Browsers let any host of the domain set it: its name does not begin with `__Host-`.
    session, theirs = stage.cookie("alice")[1], f"{byte}__Host-authz={'A' * 43}"
    for line in (f"{theirs}; {session}", f"{session}; {theirs}", f"{session}; __Host-authz"):
        assert stage.send("GET", "/", [("Cookie", line)]).status == 200
    answer = stage.send("GET", "/", [*NAVIGATION, ("Cookie", theirs)])
    assert answer.status == 302
    assert {each.one("x-auth-user") for each in stage.app.received} == {"alice"}


def test_large_cookies_and_addresses_fit(stage: Stage) -> None:
    session, cookie, target = stage.cookie("alice")[1], f"big={'x' * 7000}", f"/?q={'x' * 7000}"
    assert stage.send("GET", target, [("Cookie", f"{session}; {cookie}")]).status == 200
    received = stage.app.only()
    assert received.one("cookie") == cookie
    assert received.target == stage.facts().target == target


def test_a_renewed_session_reaches_the_client_beside_the_applications_cookies(
    stage: Stage,
) -> None:
    stage.app.answer(
        "/cookies", answer_bytes("200 OK", [("Set-Cookie", "one=1; Path=/"), ("X-App", "yes")])
    )
    renewed = "__Host-authz=renewed; Path=/; Secure; HttpOnly; SameSite=Lax"
    allow = answer_bytes("200 OK", [("X-Auth-User", "alice"), ("Set-Cookie", renewed)])
    with stage.tap.saying(allow):
        answer = stage.send("GET", "/cookies")
    names = sorted(line.partition("=")[0] for line in answer.all("set-cookie"))
    assert names == ["__Host-authz", "one"]
    assert "x-app" in answer.names


def test_the_applications_odd_cookies_survive(stage: Stage) -> None:
    odd = ("novalue", "a=1; Priority=High", 'q="x y"; Path=/', "ünì=1".encode().decode("latin-1"))
    lines = "".join(f"Set-Cookie: {line}\r\n" for line in odd).encode("latin-1")
    alice = stage.cookie("alice")
    stage.app.answer("/odd", b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    answer = stage.send("GET", "/odd", [alice])
    assert answer.all("set-cookie") == odd


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "500 No"])
def test_the_applications_own_errors_are_its_own(stage: Stage, status: str) -> None:
    own = [("WWW-Authenticate", 'Basic realm="app"'), ("X-App", "yes")]
    alice = stage.cookie("alice")
    stage.app.answer("/error", answer_bytes(status, own, b"the application says so"))
    answer = stage.send("GET", "/error", [alice])
    assert answer.status == int(status[:3])
    assert answer.text == "the application says so"
    assert answer.one("x-app") == "yes"


def test_plain_http_leads_to_https_with_the_whole_address(stage: Stage) -> None:
    raw = request_bytes("GET", "/a?x=1&y=2", [("Host", APP_HOST), ("Connection", "close")])
    with contextlib.closing(connect(stage.proxy.places.http)) as connection:
        connection.sendall(raw)
        answer = Reader(connection).answer()
    assert answer is not None
    assert answer.status in (301, 308)
    location = urlsplit(answer.one("location") or "")
    assert (location.scheme, location.hostname) == ("https", APP_HOST)
    assert (location.path, location.query) == ("/a", "x=1&y=2")
    assert not stage.app.received


TRAILERS: Lines = (
    ("x-auth-user", "forged"),
    ("x-auth-groups", "forged"),
    ("x_auth_email", "forged"),
    ("x-http-method-override", "forged"),
)


def no_trailer_arrives(stage: Stage) -> None:
    for received in stage.app.received:
        assert "forged" not in f"{received.headers}{received.trailers}{received.body!r}"


def chunked(host: str, headers: Lines, trailers: Lines, body: bytes = b"hello") -> bytes:
    lines = (("Host", host), ("Transfer-Encoding", "chunked"), *headers)
    head = request_bytes("POST", "/upload", lines)
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
    tail = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return head + chunk + b"0\r\n" + tail.encode() + b"\r\n"


@EACH_HOST
@pytest.mark.parametrize(
    "announced",
    [
        pytest.param((), id="not announced"),
        pytest.param((("Trailer", ", ".join(name for name, _ in TRAILERS)),), id="announced"),
        pytest.param((("TE", "trailers"), ("Trailer", "X-Auth-User")), id="one announced"),
    ],
)
@pytest.mark.parametrize("body", [b"hello", b""], ids=["body", "no body"])
def test_no_trailer_of_a_chunked_body_arrives(
    stage: Stage, host: str, user: str | None, announced: Lines, body: bytes
) -> None:
    who = (stage.cookie(user),) if user else ()
    raw = chunked(host, (*who, *announced), TRAILERS, body)
    answer = stage.send_raw(raw, server_name=host, method="POST")
    no_trailer_arrives(stage)
    assert answer is not None
    if stage.kind.name == "haproxy":  # before 3.2 it cannot drop them
        assert (answer.status, stage.app.received) == (411, [])
    else:
        assert answer.status == 200
        assert stage.app.only().body == body


@EACH_HOST
@pytest.mark.parametrize(
    ("method", "more", "body"),
    [
        pytest.param("POST", (), b"hello", id="body"),
        pytest.param("POST", (("content-length", "5"),), b"hello", id="body with a length"),
        pytest.param("GET", (), b"", id="no body"),
        pytest.param("GET", (("content-length", "0"),), b"", id="no body with a length"),
        pytest.param(
            "POST", (("trailer", "x-auth-user"), ("te", "trailers")), b"a", id="announced"
        ),
    ],
)
def test_no_trailer_by_http2_arrives(
    stage: Stage, host: str, user: str | None, *, method: str, more: Lines, body: bytes
) -> None:
    cookies = stage.cookie(user)[1].split("; ") if user else []
    head = ((":method", method), (":scheme", "https"), (":authority", host), (":path", "/upload"))
    crumbs = tuple(("cookie", crumb) for crumb in cookies)
    stage.send_http2((*head, *crumbs, *more), body, TRAILERS, server_name=host)
    no_trailer_arrives(stage)
    if stage.kind.name in ("traefik", "envoy", "caddy"):
        assert stage.app.only().body == body


@pytest.mark.parametrize("length", [(), (("content-length", "5"),)], ids=["stream", "length"])
def test_bodies_arrive_by_http2(stage: Stage, length: Lines) -> None:
    head = ((":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", OPEN_HOST))
    stage.send_http2((*head, *length), b"hello", server_name=OPEN_HOST)
    if stage.kind.name == "haproxy" and not length:  # it may have trailers
        assert not stage.app.received
    else:
        assert stage.app.only().body == b"hello"


@pytest.mark.parametrize("user", ["alice", None], ids=["signed in", "nobody is signed in"])
def test_a_websocket_by_http2_is_judged_like_one_by_http1(stage: Stage, user: str | None) -> None:
    """RFC 8441, which HAProxy offers without being told to; it is no body without a length."""
    crumbs = stage.cookie(user)[1].split("; ") if user else []
    stage.send_http2(
        (
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", APP_HOST),
            (":path", "/socket"),
            *(("cookie", crumb) for crumb in crumbs),
            ("origin", f"https://{APP_HOST}"),
            ("sec-websocket-version", "13"),
        ),
        stays_open=True,
    )
    if stage.kind.name == "haproxy" and user:
        received = stage.app.only()
        assert (received.one("x-auth-user"), received.one("upgrade")) == (user, "websocket")
    else:
        assert not stage.app.received
