"""HTTP on the check listener is the same from the fast path and from the framework."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.server.limits import ListenerLimits
from tests.routes.settings import RouteSpec
from tests.support.authorizer import APP, build_authorizer, raw_request
from tests.support.fast_path import (
    FastPathComparison,
    build_comparison,
    read_response,
    running_listeners,
    serialize_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUICK = ListenerLimits(
    head_timeout_seconds=0.5, body_timeout_seconds=0.5, linger_seconds=0.1, max_connections=4
)
ROUTES = (
    RouteSpec(name="app", allow_any_authenticated_user=True),
    RouteSpec(name="admin", prefix="/admin", policy={"allow": {"and": [{"groups": {"has": "x"}}]}}),
)
# What a body must never be taken for.
SMUGGLED = b"GET /auth/traefik HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
async def comparison() -> AsyncIterator[FastPathComparison]:
    async with running_listeners(
        build_comparison(build_authorizer(*ROUTES)), limits=QUICK
    ) as running:
        yield running


@pytest.fixture(params=["lane", "framework"])
def listener(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Connection:
    """To one of the two listeners, by somebody who is signed in."""

    def __init__(self, comparison: FastPathComparison, way: str, cookie: tuple[str, str]) -> None:
        self.both, self.way, self.cookie = comparison, way, cookie
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self) -> Connection:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.both.ports[self.way]
        )
        return self

    def question(self, path: str = "/", *lines: tuple[str, str], version: str = "1.1") -> bytes:
        return serialize_request(raw_request(f"{APP}{path}", self.cookie, *lines), version=version)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> bytes:
        async with asyncio.timeout(20):
            return await read_response(self.reader)

    async def status(self) -> int:
        got = await self.answer()
        return int(got.split(b" ")[1]) if got else 0

    async def closed(self) -> bool:
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read() == b""
        return True

    @property
    def answered(self) -> tuple[int, int]:
        """By the lane, and by anybody."""
        return self.both.fast_path.response_count, len(self.both.fixture.records)


@pytest.fixture
async def connection(comparison: FastPathComparison, listener: str) -> AsyncIterator[Connection]:
    connection = await Connection(comparison, listener, await comparison.sign_in()).open()
    comparison.fixture.records.clear()
    yield connection
    connection.writer.close()


async def test_keep_alive(connection: Connection) -> None:
    for _ in range(3):
        connection.send(connection.question())
        assert b"connection" not in (await connection.answer()).lower()
    assert connection.answered == (3 if connection.way == "lane" else 0, 3)


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        pytest.param("1.1", (("connection", "close"),), id="close"),
        pytest.param("1.0", (), id="HTTP/1.0"),
        pytest.param("1.0", (("connection", "keep-alive"),), id="HTTP/1.0 that would stay"),
    ],
)
async def test_the_end_of_a_connection(
    connection: Connection, version: str, lines: tuple[tuple[str, str], ...]
) -> None:
    connection.send(connection.question("/", *lines, version=version))
    got = await connection.answer()
    assert got.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in got
    assert await connection.closed()


async def test_pipelined_questions_are_answered_in_order(connection: Connection) -> None:
    paths = ("/", "/admin", "/", "/admin", "/")
    connection.send(b"".join(map(connection.question, paths)))
    assert [await connection.status() for _ in paths] == [200, 403, 200, 403, 200]


async def test_nobody_is_told_to_send_a_body_that_nobody_reads(connection: Connection) -> None:
    lines = (("expect", "100-continue"), ("content-length", str(len(SMUGGLED))))
    connection.send(connection.question("/", *lines))
    # RFC 9110 section 10.1.1: a server may leave out 100 where the final answer is known already.
    assert await connection.status() == 200
    connection.send(SMUGGLED)
    assert await connection.closed()
    assert connection.answered == (0, 1)


CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        pytest.param(("content-length", str(len(SMUGGLED))), SMUGGLED, id="content-length"),
        pytest.param(("transfer-encoding", "chunked"), CHUNKED, id="chunked"),
    ],
)
async def test_a_body_is_no_question(
    connection: Connection, line: tuple[str, str], body: bytes
) -> None:
    for _ in range(2):
        connection.send(connection.question("/", line) + body)
        assert await connection.status() == 200
    connection.send(connection.question())
    assert await connection.status() == 200
    assert connection.answered[1] == 3


@pytest.mark.parametrize(
    ("line", "body"),
    [
        pytest.param(("content-length", "5000"), SMUGGLED, id="content-length"),
        pytest.param(("transfer-encoding", "chunked"), b"fff\r\n" + SMUGGLED, id="chunked"),
    ],
)
async def test_after_half_a_body_nothing_is_a_question(
    connection: Connection, line: tuple[str, str], body: bytes
) -> None:
    connection.send(connection.question("/", line) + body)
    got = await connection.answer()
    assert b"\r\nconnection: close\r\n" in got
    connection.send(connection.question())
    assert await connection.closed()
    assert connection.answered[1] == 1


async def test_who_does_not_read_is_not_written_to(
    comparison: FastPathComparison, listener: str
) -> None:
    cookie = await comparison.sign_in()
    comparison.fixture.records.clear()
    loop = asyncio.get_running_loop()
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setblocking(False)
        await loop.sock_connect(greedy, ("127.0.0.1", comparison.ports[listener]))
        question = serialize_request(raw_request(f"{APP}/admin", cookie, ("accept", "text/html")))
        pending, quiet = question * 2000, 0
        async with asyncio.timeout(20):
            while quiet < 5:
                answered = len(comparison.fixture.records)
                for _ in range(20):
                    with contextlib.suppress(BlockingIOError):
                        pending = pending[greedy.send(pending[: len(question)]) :]
                    await asyncio.sleep(0.002)
                quiet = quiet + 1 if len(comparison.fixture.records) == answered else 0
        assert len(comparison.fixture.records) > 1
        assert len(pending) > len(question), "everything was taken"
        other = await Connection(comparison, listener, cookie).open()
        other.send(other.question())
        assert await other.status() == 200
        other.writer.close()


async def test_an_end_waits_for_who_has_begun_to_ask(listener: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        both = await stack.enter_async_context(
            running_listeners(build_comparison(build_authorizer(*ROUTES)))
        )
        begun = await Connection(both, listener, await both.sign_in()).open()
        idle = await Connection(both, listener, begun.cookie).open()
        for each in (begun, idle):
            each.send(each.question())
            assert await each.status() == 200
        question = begun.question()
        begun.send(question[:40])
        await asyncio.sleep(0.05)
        ending = asyncio.create_task(stack.aclose())
        assert await idle.closed()
        begun.send(question[40:])
        got = await begun.answer()
        assert got.startswith(b"HTTP/1.1 200")
        assert b"\r\nconnection: close\r\n" in got
        assert await begun.closed()
        await ending
        for each in (begun, idle):
            each.writer.close()


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param([("x-a", "x" * 60_000)], 200, id="nearly 64 kB"),
        pytest.param([("x-a", "x" * 70_000)], 431, id="more than 64 kB"),
        pytest.param([("x-a", "x")] * 90, 200, id="nearly 100 lines"),
        pytest.param([("x-a", "x")] * 101, 431, id="more than 100 lines"),
        pytest.param([("cookie", f"a{at}={'x' * 3000}") for at in range(30)], 431, id="cookies"),
    ],
)
async def test_heads_are_bounded(
    connection: Connection, lines: list[tuple[str, str]], status: int
) -> None:
    connection.send(connection.question())
    assert await connection.status() == 200
    connection.send(connection.question("/", *lines))
    assert await connection.status() == status


async def test_heads_come_in_time(connection: Connection) -> None:
    connection.send(connection.question())
    assert await connection.status() == 200
    dripping = asyncio.create_task(drip(connection))
    assert await connection.status() == 408
    dripping.cancel()
    assert await connection.closed()


async def drip(connection: Connection) -> None:
    for byte in connection.question()[:-1]:
        connection.send(bytes([byte]))
        await asyncio.sleep(0.05)


async def test_connections_are_bounded(
    comparison: FastPathComparison, connection: Connection
) -> None:
    others = [
        await Connection(comparison, connection.way, connection.cookie).open() for _ in range(5)
    ]
    refused = 0
    for each in others:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            each.send(each.question())
            refused += await each.status() in {0, 503}
    assert refused == 2
    connection.send(connection.question())
    assert await connection.status() == 200
    for each in others:
        each.writer.close()
