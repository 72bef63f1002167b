"""The lane on a connection: what comes in which order, and when it keeps out of the way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.server import fastpath_protocol as lane_module
from authz_sidecar.server.fastpath_protocol import LaneProtocol
from authz_sidecar.server.limits import Limits
from tests.routes.settings import Settings
from tests.support.authorizer import APP, asked, house
from tests.support.fast_path import Both, Held, answer, both_of, bytes_of, listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUICK = Limits(head_seconds=0.3, body_seconds=0.3, linger_seconds=0.1, last_call_seconds=0.05)
ROUTES = (
    Settings(name="app", allow_any_authenticated_user=True),
    Settings(name="admin", prefix="/admin", policy={"allow": {"and": [{"groups": {"has": "x"}}]}}),
)


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    async with listening(both_of(house(*ROUTES)), limits=QUICK) as both:
        yield both


class Asking:
    """A connection to the lane's listener."""

    def __init__(self, both: Both, cookie: tuple[str, str]) -> None:
        self._both = both
        self._cookie = cookie
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        port = self._both.ports["lane"]
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def question(self, path: str = "/", *lines: tuple[str, str]) -> bytes:
        return bytes_of(asked(f"{APP}{path}", self._cookie, *lines))

    async def status(self) -> int:
        async with asyncio.timeout(20):
            got = await answer(self.reader)
        return int(got.split(b" ")[1]) if got else 0

    async def closed(self) -> bool:
        async with asyncio.timeout(20):
            return await self.reader.read(1) == b""


@pytest.fixture
async def asking(both: Both) -> AsyncIterator[Asking]:
    async with Asking(both, await both.signed_in()) as asking:
        yield asking


def aside(asking: Asking, path: str = "/") -> bytes:
    return asking.question(path, ("authorization", "Basic eA=="))


async def test_one_connection_takes_both_ways(both: Both, asking: Asking) -> None:
    for question, status, answered in (
        (asking.question(), 200, 1),
        (aside(asking, "/admin"), 403, 1),
        (asking.question("/admin"), 403, 2),
        (aside(asking), 200, 2),
        (asking.question(), 200, 3),
    ):
        asking.writer.write(question)
        assert (await asking.status(), both.lane.answered) == (status, answered)


async def test_answers_come_in_the_order_of_the_questions(both: Both, asking: Asking) -> None:
    for _ in range(20):
        asking.writer.write(aside(asking, "/admin") + asking.question())
        await asyncio.sleep(0)
        asking.writer.write(asking.question("/admin"))
        asking.writer.write(asking.question())
        assert [await asking.status() for _ in range(4)] == [403, 200, 403, 200]


async def test_a_question_behind_one_that_waits_waits_too(both: Both, asking: Asking) -> None:
    """The framework takes its time; what the lane could answer comes after it."""
    held, find = asyncio.Event(), both.home.sessions.find

    class Slow:
        async def find(self, *arguments: object, **options: object) -> object:
            await held.wait()
            return await find(*arguments, **options)  # type: ignore[arg-type]

    object.__setattr__(both.app.gate, "sessions", Slow())
    asking.writer.write(aside(asking, "/admin"))
    await asyncio.sleep(0.05)
    asking.writer.write(asking.question())
    await asyncio.sleep(0.05)
    assert both.lane.answered == 0
    held.set()
    assert [await asking.status(), await asking.status()] == [403, 200]


@pytest.mark.parametrize("cut", [1, 20, -4, -2, -1])
async def test_questions_in_pieces(both: Both, asking: Asking, cut: int) -> None:
    question = asking.question()
    asking.writer.write(question[:cut])
    await asyncio.sleep(0.05)
    asking.writer.write(question[cut:])
    assert await asking.status() == 200
    assert both.lane.answered == 0
    asking.writer.write(question)
    assert await asking.status() == 200
    assert both.lane.answered == 1


async def test_a_slow_head_after_an_answer_is_given_up(asking: Asking) -> None:
    asking.writer.write(asking.question())
    assert await asking.status() == 200
    await asyncio.sleep(0.5)  # being idle is no fault
    asking.writer.write(b"GET /auth/traefik HT")
    assert await asking.status() == 408
    assert await asking.closed()


async def test_garbage_after_an_answer(asking: Asking) -> None:
    asking.writer.write(asking.question())
    assert await asking.status() == 200
    asking.writer.write(b"\r\n\x00\r\n\r\n")
    assert await asking.status() == 400
    assert await asking.closed()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_connection_that_is_to_be_closed_is(
    both: Both, asking: Asking, version: str
) -> None:
    lines = (("connection", "close"),) if version == "1.1" else ()
    question = asking.question("/", *lines).replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    asking.writer.write(question)
    assert await asking.status() == 200
    assert await asking.closed()
    assert both.lane.answered == 1


async def test_an_idle_connection_ends_some_time_after_the_last_answer(
    both: Both, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LaneProtocol.connection_made

    def impatient(self: LaneProtocol, transport: asyncio.Transport) -> None:
        real(self, transport)
        self.timeout_keep_alive = 0.3  # type: ignore[assignment]

    monkeypatch.setattr(lane_module.LaneProtocol, "connection_made", impatient)
    async with Asking(both, asking._cookie) as other:
        for _ in range(6):
            other.writer.write(other.question())
            assert await other.status() == 200
            await asyncio.sleep(0.1)
        before: float = asyncio.get_running_loop().time()
        assert await other.closed()
        assert 0.1 < asyncio.get_running_loop().time() - before < 1


async def test_an_end_waits_for_nobody_who_is_idle() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with listening(both_of(house(*ROUTES)), limits=QUICK) as both:
            asking = await stack.enter_async_context(Asking(both, await both.signed_in()))
            asking.writer.write(asking.question())
            assert await asking.status() == 200
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 1
        assert await asking.closed()


class Store:
    """What is not in memory is looked for here, and takes its time."""

    def __init__(self, both: Both) -> None:
        both.near.held.clear()
        self._entry = both.near.entry
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.trouble: Exception | None = None
        both.near.entry = self.entry  # type: ignore[method-assign]

    async def entry(self, token: str, *, scope: str, provider: str) -> Held | None:
        self.asked.set()
        await self.answers.wait()
        if self.trouble is not None:
            raise self.trouble
        return await self._entry(token, scope=scope, provider=provider)


@pytest.fixture
def store(both: Both, asking: Asking) -> Store:
    return Store(both)


async def test_a_look_into_the_store_is_waited_for(
    both: Both, asking: Asking, store: Store
) -> None:
    asking.writer.write(asking.question())
    await store.asked.wait()
    asking.writer.write(asking.question("/admin") + aside(asking))
    await asyncio.sleep(QUICK.head_seconds * 2)  # no clock of the connection runs meanwhile
    assert both.lane.answered == 0
    store.answers.set()
    assert [await asking.status() for _ in range(3)] == [200, 403, 200]
    assert both.lane.answered == 1
    asking.writer.write(asking.question("/admin"))
    assert await asking.status() == 403
    assert both.lane.answered == 2


async def test_others_are_answered_while_one_waits(
    both: Both, asking: Asking, store: Store
) -> None:
    asking.writer.write(asking.question())
    await store.asked.wait()
    await both.remember(asking._cookie[1].partition("=")[2])
    async with Asking(both, asking._cookie) as other:
        other.writer.write(other.question())
        assert await other.status() == 200
    store.answers.set()
    assert await asking.status() == 200


async def test_trouble_with_the_store_is_for_the_framework_to_tell(
    both: Both, asking: Asking, store: Store
) -> None:
    store.trouble = StoreUnavailable("it is away")
    store.answers.set()
    asking.writer.write(asking.question())
    assert await asking.status() == 200  # which asks again, and is more lucky
    assert both.lane.answered == 0
    assert len(both.home.records) == 1


async def test_who_waits_at_the_end_is_answered() -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with listening(both_of(house(*ROUTES)), limits=QUICK) as both:
            asking = await stack.enter_async_context(Asking(both, await both.signed_in()))
            store = Store(both)
            asking.writer.write(asking.question())
            await store.asked.wait()
            asyncio.get_running_loop().call_later(QUICK.last_call_seconds * 4, store.answers.set)
        assert await asking.status() == 200
        assert await asking.closed()


async def test_who_goes_away_while_waiting_is_missed_by_nobody(
    both: Both, asking: Asking, store: Store
) -> None:
    asking.writer.write(asking.question())
    await store.asked.wait()
    asking.writer.transport.abort()
    await asyncio.sleep(0.05)
    store.answers.set()
    async with Asking(both, asking._cookie) as other:
        other.writer.write(other.question())
        assert await other.status() == 200
