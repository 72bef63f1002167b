"""The lane on a connection: what comes in which order, and when it keeps out of the way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.server import fastpath_protocol as lane_module
from authz_sidecar.server.fastpath_protocol import FastPathProtocol
from authz_sidecar.server.limits import ListenerLimits
from tests.routes.settings import RouteSpec
from tests.support.authorizer import APP, build_authorizer, raw_request
from tests.support.fast_path import (
    FakeCachedSession,
    FastPathComparison,
    build_comparison,
    read_response,
    running_listeners,
    serialize_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUICK = ListenerLimits(
    head_timeout_seconds=0.3, body_timeout_seconds=0.3, linger_seconds=0.1, drain_grace_seconds=0.05
)
ROUTES = (
    RouteSpec(name="app", allow_any_authenticated_user=True),
    RouteSpec(name="admin", prefix="/admin", policy={"allow": {"and": [{"groups": {"has": "x"}}]}}),
)


@pytest.fixture
async def comparison() -> AsyncIterator[FastPathComparison]:
    async with running_listeners(
        build_comparison(build_authorizer(*ROUTES)), limits=QUICK
    ) as running:
        yield running


class FastPathConnection:
    """A connection to the lane's listener."""

    def __init__(self, comparison: FastPathComparison, cookie: tuple[str, str]) -> None:
        self._comparison = comparison
        self._cookie = cookie
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        port = self._comparison.ports["lane"]
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def serialize_check(self, path: str = "/", *lines: tuple[str, str]) -> bytes:
        return serialize_request(raw_request(f"{APP}{path}", self._cookie, *lines))

    async def status(self) -> int:
        async with asyncio.timeout(20):
            got = await read_response(self.reader)
        return int(got.split(b" ")[1]) if got else 0

    async def is_closed(self) -> bool:
        async with asyncio.timeout(20):
            return await self.reader.read(1) == b""


@pytest.fixture
async def connection(comparison: FastPathComparison) -> AsyncIterator[FastPathConnection]:
    async with FastPathConnection(comparison, await comparison.sign_in()) as opened:
        yield opened


def slow_path_check(connection: FastPathConnection, path: str = "/") -> bytes:
    return connection.serialize_check(path, ("authorization", "Basic eA=="))


async def test_one_connection_takes_both_ways(
    comparison: FastPathComparison, connection: FastPathConnection
) -> None:
    for question, status, answered in (
        (connection.serialize_check(), 200, 1),
        (slow_path_check(connection, "/admin"), 403, 1),
        (connection.serialize_check("/admin"), 403, 2),
        (slow_path_check(connection), 200, 2),
        (connection.serialize_check(), 200, 3),
    ):
        connection.writer.write(question)
        assert (await connection.status(), comparison.fast_path.response_count) == (
            status,
            answered,
        )


async def test_answers_come_in_the_order_of_the_questions(
    comparison: FastPathComparison, connection: FastPathConnection
) -> None:
    for _ in range(20):
        connection.writer.write(
            slow_path_check(connection, "/admin") + connection.serialize_check()
        )
        await asyncio.sleep(0)
        connection.writer.write(connection.serialize_check("/admin"))
        connection.writer.write(connection.serialize_check())
        assert [await connection.status() for _ in range(4)] == [403, 200, 403, 200]


async def test_a_question_behind_one_that_waits_waits_too(
    comparison: FastPathComparison, connection: FastPathConnection
) -> None:
    """The framework takes its time; what the lane could answer comes after it."""
    held, find = asyncio.Event(), comparison.fixture.sessions.find

    class Slow:
        async def find(self, *arguments: object, **options: object) -> object:
            await held.wait()
            return await find(*arguments, **options)  # type: ignore[arg-type]

    object.__setattr__(comparison.app.authorizer, "sessions", Slow())
    connection.writer.write(slow_path_check(connection, "/admin"))
    await asyncio.sleep(0.05)
    connection.writer.write(connection.serialize_check())
    await asyncio.sleep(0.05)
    assert comparison.fast_path.response_count == 0
    held.set()
    assert [await connection.status(), await connection.status()] == [403, 200]


@pytest.mark.parametrize("cut", [1, 20, -4, -2, -1])
async def test_questions_in_pieces(
    comparison: FastPathComparison, connection: FastPathConnection, cut: int
) -> None:
    question = connection.serialize_check()
    connection.writer.write(question[:cut])
    await asyncio.sleep(0.05)
    connection.writer.write(question[cut:])
    assert await connection.status() == 200
    assert comparison.fast_path.response_count == 0
    connection.writer.write(question)
    assert await connection.status() == 200
    assert comparison.fast_path.response_count == 1


async def test_a_slow_head_after_an_answer_is_given_up(connection: FastPathConnection) -> None:
    connection.writer.write(connection.serialize_check())
    assert await connection.status() == 200
    await asyncio.sleep(0.5)  # being idle is no fault
    connection.writer.write(b"GET /auth/traefik HT")
    assert await connection.status() == 408
    assert await connection.is_closed()


async def test_garbage_after_an_answer(connection: FastPathConnection) -> None:
    connection.writer.write(connection.serialize_check())
    assert await connection.status() == 200
    connection.writer.write(b"\r\n\x00\r\n\r\n")
    assert await connection.status() == 400
    assert await connection.is_closed()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_connection_that_is_to_be_closed_is(
    comparison: FastPathComparison, connection: FastPathConnection, version: str
) -> None:
    lines = (("connection", "close"),) if version == "1.1" else ()
    question = connection.serialize_check("/", *lines).replace(
        b"HTTP/1.1", f"HTTP/{version}".encode()
    )
    connection.writer.write(question)
    assert await connection.status() == 200
    assert await connection.is_closed()
    assert comparison.fast_path.response_count == 1


async def test_an_idle_connection_ends_some_time_after_the_last_answer(
    comparison: FastPathComparison, connection: FastPathConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FastPathProtocol.connection_made

    def impatient(self: FastPathProtocol, transport: asyncio.Transport) -> None:
        real(self, transport)
        self.timeout_keep_alive = 0.3  # type: ignore[assignment]

    monkeypatch.setattr(lane_module.FastPathProtocol, "connection_made", impatient)
    async with FastPathConnection(comparison, connection._cookie) as other:
        for _ in range(6):
            other.writer.write(other.serialize_check())
            assert await other.status() == 200
            await asyncio.sleep(0.1)
        before: float = asyncio.get_running_loop().time()
        assert await other.is_closed()
        assert 0.1 < asyncio.get_running_loop().time() - before < 1


async def test_an_end_waits_for_nobody_who_is_idle() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with running_listeners(
            build_comparison(build_authorizer(*ROUTES)), limits=QUICK
        ) as comparison:
            asking = await stack.enter_async_context(
                FastPathConnection(comparison, await comparison.sign_in())
            )
            asking.writer.write(asking.serialize_check())
            assert await asking.status() == 200
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 1
        assert await asking.is_closed()


class Store:
    """What is not in memory is looked for here, and takes its time."""

    def __init__(self, comparison: FastPathComparison) -> None:
        comparison.session_cache.entries.clear()
        self._entry = comparison.session_cache.fetch
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.trouble: Exception | None = None
        comparison.session_cache.fetch = self.entry  # type: ignore[method-assign]

    async def entry(self, token: str, *, scope: str, provider: str) -> FakeCachedSession | None:
        self.asked.set()
        await self.answers.wait()
        if self.trouble is not None:
            raise self.trouble
        return await self._entry(token, scope=scope, provider=provider)


@pytest.fixture
def store(comparison: FastPathComparison, connection: FastPathConnection) -> Store:
    return Store(comparison)


async def test_a_look_into_the_store_is_waited_for(
    comparison: FastPathComparison, connection: FastPathConnection, store: Store
) -> None:
    connection.writer.write(connection.serialize_check())
    await store.asked.wait()
    connection.writer.write(connection.serialize_check("/admin") + slow_path_check(connection))
    await asyncio.sleep(QUICK.head_timeout_seconds * 2)  # no clock of the connection runs meanwhile
    assert comparison.fast_path.response_count == 0
    store.answers.set()
    assert [await connection.status() for _ in range(3)] == [200, 403, 200]
    assert comparison.fast_path.response_count == 1
    connection.writer.write(connection.serialize_check("/admin"))
    assert await connection.status() == 403
    assert comparison.fast_path.response_count == 2


async def test_others_are_answered_while_one_waits(
    comparison: FastPathComparison, connection: FastPathConnection, store: Store
) -> None:
    connection.writer.write(connection.serialize_check())
    await store.asked.wait()
    await comparison.cache_session(connection._cookie[1].partition("=")[2])
    async with FastPathConnection(comparison, connection._cookie) as other:
        other.writer.write(other.serialize_check())
        assert await other.status() == 200
    store.answers.set()
    assert await connection.status() == 200


async def test_trouble_with_the_store_is_for_the_framework_to_tell(
    comparison: FastPathComparison, connection: FastPathConnection, store: Store
) -> None:
    store.trouble = StoreUnavailable("it is away")
    store.answers.set()
    connection.writer.write(connection.serialize_check())
    assert await connection.status() == 200  # which asks again, and is more lucky
    assert comparison.fast_path.response_count == 0
    assert len(comparison.fixture.records) == 1


async def test_who_waits_at_the_end_is_answered() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with running_listeners(
            build_comparison(build_authorizer(*ROUTES)), limits=QUICK
        ) as comparison:
            asking = await stack.enter_async_context(
                FastPathConnection(comparison, await comparison.sign_in())
            )
            store = Store(comparison)
            asking.writer.write(asking.serialize_check())
            await store.asked.wait()
            asyncio.get_running_loop().call_later(QUICK.drain_grace_seconds * 4, store.answers.set)
        assert await asking.status() == 200
        assert await asking.is_closed()


async def test_who_goes_away_while_waiting_is_missed_by_nobody(
    comparison: FastPathComparison, connection: FastPathConnection, store: Store
) -> None:
    connection.writer.write(connection.serialize_check())
    await store.asked.wait()
    connection.writer.transport.abort()
    await asyncio.sleep(0.05)
    store.answers.set()
    async with FastPathConnection(comparison, connection._cookie) as other:
        other.writer.write(other.serialize_check())
        assert await other.status() == 200
