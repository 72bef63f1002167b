"""The check listener's application over real sockets, behind the protocol it is served with."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.adapters.registry import NAMES, enabled_adapters
from authz_sidecar.adapters.trusted_peers import NetworkSet
from authz_sidecar.config.value_parsers import UnixAddress, parse_exact_network
from authz_sidecar.core.browser_headers import ISOLATION_HEADERS
from authz_sidecar.server.http_server import ListenerConfig
from authz_sidecar.server.listeners import bind, remove_socket_file
from authz_sidecar.web.check_app import CheckApp
from tests.routes.settings import RouteSpec
from tests.servers.wire import Lines, Message, Reader, request_bytes
from tests.support.authorizer import AuthorizerFixture, build_authorizer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "LOCK")
PUBLIC = RouteSpec(name="public", prefix="/public/", allow_public_unauthenticated_access=True)
SIGNED_IN = RouteSpec(name="app", allow_any_authenticated_user=True)
ENVOY: Lines = (("Host", "app.example.com"), ("X-Forwarded-Proto", "https"))


def traefik(target: str, method: str = "GET") -> Lines:
    return (
        ("Host", "127.0.0.1"),
        ("X-Forwarded-Method", method),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.example.com"),
        ("X-Forwarded-Uri", target),
    )


class RunningCheckApp:
    def __init__(self, fixture: AuthorizerFixture, address: object) -> None:
        self.fixture = fixture
        self._address = address

    async def send(
        self,
        method: str,
        target: str,
        headers: Lines,
        body: bytes = b"",
        *,
        source: str = "127.0.0.1",
    ) -> Message:
        raw = request_bytes(method, target, headers, body)
        return await asyncio.to_thread(self._exchange, raw, method, source)

    def _exchange(self, raw: bytes, method: str, source: str) -> Message:
        unix = isinstance(self._address, str)
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as connection:
            connection.settimeout(10)
            if not unix:
                connection.bind((source, 0))
            connection.connect(self._address)  # type: ignore[arg-type]
            connection.sendall(raw)
            answer = Reader(connection).answer(to=method)
        assert answer is not None
        return answer


@contextlib.asynccontextmanager
async def serving(
    listener: socket.socket, *, names: tuple[str, ...], trusted: str
) -> AsyncIterator[RunningCheckApp]:
    fixture = build_authorizer(PUBLIC, SIGNED_IN)
    app = CheckApp(
        authorizer=fixture.authorizer,
        adapters=enabled_adapters(names),
        trusted_peers=NetworkSet((parse_exact_network(trusted),)),
    )
    server = ListenerConfig(app=app, drain_seconds=2).create_server()
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield RunningCheckApp(fixture, listener.getsockname())
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def check() -> AsyncIterator[RunningCheckApp]:
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(listener, names=NAMES, trusted="127.0.0.1/32") as running:
        yield running


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_is_answered(check: RunningCheckApp, method: str) -> None:
    answer = await check.send(method, "/auth/traefik", traefik("/public/x"))
    assert (answer.status, answer.body) == (200, b"")
    answer = await check.send(method, "/auth/envoy/x", ENVOY)
    assert answer.status == 401
    record = check.fixture.record.request
    assert record is not None
    assert record.method == method


async def test_an_answer_to_head_has_the_length_of_a_body_and_no_body(
    check: RunningCheckApp,
) -> None:
    lines = (*ENVOY, ("Accept", "application/json"))
    full = await check.send("GET", "/auth/envoy/x", lines)
    head = await check.send("HEAD", "/auth/envoy/x", lines)
    assert head.status == full.status
    assert not head.body


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        pytest.param("/auth/envoy/", "/", None, id="root"),
        pytest.param("/auth/envoy/a/../b", "/a/../b", None, id="dot segments"),
        pytest.param("/auth/envoy//a", "//a", None, id="two slashes"),
        pytest.param("/auth/envoy/%61%2f%2E?x=%2e&y", "/%61%2f%2E", "x=%2e&y", id="escapes"),
        pytest.param("/auth/envoy/a?", "/a", "", id="empty query"),
        pytest.param("/auth/envoy/auth/envoy/x", "/auth/envoy/x", None, id="prefix twice"),
    ],
)
async def test_the_path_is_judged_as_it_came(
    check: RunningCheckApp, target: str, path: str, query: str | None
) -> None:
    await check.send("GET", target, ENVOY)
    request = check.fixture.record.request
    assert request is not None
    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/auth",
        "/auth/",
        "/auth/traefik/",
        "//auth/traefik",
        "/auth//traefik",
        "/AUTH/traefik",
        "/%61uth/traefik",
        "/x/../auth/traefik",
        "/auth/envoy",
        "/auth/envoyx/public/x",
        "/auth/nginx/",
        "/healthz",
        "/metrics",
        "/.auth/start",
    ],
)
async def test_nothing_else_is_there(check: RunningCheckApp, target: str) -> None:
    answer = await check.send("GET", target, (*traefik("/public/x"), *ENVOY[1:1]))
    assert answer.status == 404
    assert {name: answer.one(name) for name, _ in ISOLATION_HEADERS} == dict(ISOLATION_HEADERS)
    assert not check.fixture.records


async def test_nothing_is_taken_from_the_query(check: RunningCheckApp) -> None:
    target = "/auth/traefik?x-forwarded-uri=/public/x&rd=https://evil.example/"
    answer = await check.send("GET", target, traefik("/x"))
    assert answer.status == 401
    assert "evil" not in answer.text


async def test_a_body_is_never_waited_for(check: RunningCheckApp) -> None:
    lines = (*traefik("/public/x"), ("Content-Length", "7"))
    answer = await check.send("POST", "/auth/traefik", lines)
    assert answer.status == 200


async def test_a_websocket_handshake_is_a_question_like_any_other(check: RunningCheckApp) -> None:
    upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))
    answer = await check.send("GET", "/auth/caddy", (*traefik("/public/x"), *upgrade))
    assert answer.status == 200
    answer = await check.send("GET", "/auth/caddy", (*traefik("/x"), *upgrade))
    assert answer.status == 401


async def test_strangers_may_not_ask_and_are_told_nothing(
    check: RunningCheckApp, caplog: pytest.LogCaptureFixture
) -> None:
    said = set()
    for target in ("/public/x", "/x"):
        answer = await check.send("GET", "/auth/traefik", traefik(target), source="127.0.0.2")
        said.add((answer.status, answer.body))
    answer = await check.send("GET", "/nowhere", traefik("/"), source="127.0.0.2")
    said.add((answer.status, answer.body))
    assert said == {(403, b"Forbidden.\n")}
    assert not check.fixture.records
    assert "127.0.0.2" in caplog.text


async def test_a_claim_to_be_the_proxy_changes_nothing(check: RunningCheckApp) -> None:
    claims = (("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"))
    lines = (*traefik("/public/x"), *claims)
    answer = await check.send("GET", "/auth/traefik", lines, source="127.0.0.2")
    assert answer.status == 403
    assert {name: answer.one(name) for name, _ in ISOLATION_HEADERS} == dict(ISOLATION_HEADERS)


async def test_a_unix_sockets_permissions_decide(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "check.sock"))
    (listener,) = bind("server.listen", address)
    try:
        async with serving(listener, names=NAMES, trusted="192.0.2.0/24") as running:
            answer = await running.send("GET", "/auth/traefik", traefik("/public/x"))
            assert answer.status == 200
    finally:
        remove_socket_file(address)


async def test_only_enabled_adapters_answer() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    async with serving(listener, names=("nginx",), trusted="127.0.0.1/32") as running:
        for name, status in (("nginx", 200), ("traefik", 404), ("caddy", 404)):
            answer = await running.send("GET", f"/auth/{name}", traefik("/public/x"))
            assert answer.status == status
        assert (await running.send("GET", "/auth/envoy/public/x", ENVOY)).status == 404


async def test_a_tcp_peer_without_an_address_is_nobody(check: RunningCheckApp) -> None:
    """A connection that was reset has no peer any more, which is no Unix socket."""
    sent: list[object] = []
    app = CheckApp(
        authorizer=check.fixture.authorizer,
        adapters=enabled_adapters(NAMES),
        trusted_peers=NetworkSet(),
    )
    scope = {
        "type": "http",
        "method": "GET",
        "client": None,
        "server": ("127.0.0.1", 9180),
        "authz_target": b"/auth/traefik",
        "headers": [(name.lower().encode(), value.encode()) for name, value in traefik("/public/")],
    }

    async def receive() -> dict[str, object]:
        raise AssertionError("the body is never read")

    async def send(message: object) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert "'status': 403" in str(sent[0])
    assert not check.fixture.records
