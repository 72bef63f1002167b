"""A lane beside the gate of a house, both over the same sessions, clock and records; and the two
behind a listener each, so that the same bytes can be sent to both. A third listener has the gate
behind the other parser."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.registry import NAMES, adapters
from authz_sidecar.adapters.trusted_peers import Networks
from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.fastpath.raw_responses import Written
from authz_sidecar.fastpath.service import lane_beside
from authz_sidecar.server import h11, httptools
from authz_sidecar.server.fastpath_protocol import LaneProtocol
from authz_sidecar.server.http_server import Serving
from authz_sidecar.server.limits import Limits
from authz_sidecar.server.listeners import bind
from authz_sidecar.web.check_app import CheckApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from authz_sidecar.adapters.base import RawRequest
    from authz_sidecar.check.authorizer import CheckRecord
    from authz_sidecar.core.types import Session
    from authz_sidecar.fastpath.response_cache import Sought
    from authz_sidecar.fastpath.service import Lane
    from authz_sidecar.server.protocol import Limited
    from authz_sidecar.sessions import Sessions
    from tests.support.authorizer import House

LOOPBACK = Networks((ip_network("127.0.0.1/32"),))


@dataclass(kw_only=True)
class Remembered:
    """Sessions in memory, as they were when they were last asked for."""

    sessions: Sessions
    held: dict[tuple[str, str, str], Held] = field(default_factory=dict)

    async def remember(self, token: str, *, scope: str, provider: str) -> None:
        session = await self.sessions.find(token, scope=scope, provider=provider)
        if session is not None:
            self.held[token, scope, provider] = Held(session=session)

    def look(self, token: str, *, scope: str, provider: str, now: float) -> Held | None:
        del now
        return self.held.get((token, scope, provider))

    @property
    def away(self) -> bool:
        return False

    async def entry(self, token: str, *, scope: str, provider: str) -> Held | None:
        session = await self.sessions.find(token, scope=scope, provider=provider)
        return None if session is None else Held(session=session)

    def still(self, held: Held, now: float) -> bool:
        del now
        return any(each is held for each in self.held.values())

    def weigh(self, entry: Held, more: int) -> None:
        entry.weight += more


@dataclass(kw_only=True, eq=False)
class Held:
    session: Session
    derived: dict[object, object] = field(default_factory=dict)
    weight: int = 0


class Counting:
    """A lane that counts what it answers."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.answered = 0

    @property
    def trusts(self) -> Callable[[Mapping[str, Any]], bool]:
        return self.lane.trusts

    def reply(self, data: bytes) -> Written | Sought | None:
        said = self.lane.reply(data)
        self.answered += isinstance(said, Written)
        return said

    async def find(self, sought: Sought) -> Written | None:
        written = await self.lane.find(sought)
        self.answered += written is not None
        return written


@dataclass(kw_only=True)
class Both:
    """The two ways to an answer, and a listener for each."""

    home: House
    app: CheckApp
    lane: Counting
    near: Remembered
    ports: dict[str, int] = field(default_factory=dict)

    async def signed_in(self, *arguments: Any, **options: Any) -> tuple[str, str]:
        """As of the house, and near."""
        name, line = await self.home.signed_in(*arguments, **options)
        await self.remember(line.partition("=")[2])
        return name, line

    async def remember(self, token: str) -> None:
        for origin in self.home.gate.index.origins:
            for route in self.home.gate.index.for_host(origin):
                for provider in route.providers:
                    scope = self.home.cookies.scope_for(origin)
                    await self.near.remember(token, scope=scope, provider=provider)

    async def ask(self, way: str, data: bytes, *, bodiless: bool = False) -> bytes:
        """One answer, byte for byte but for its date."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[way])
        try:
            writer.write(data)
            async with asyncio.timeout(20):
                return await answer(reader, bodiless=bodiless)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def compare(self, data: bytes, *, bodiless: bool = False) -> Compared:
        """What they say to the same bytes; asserts that it is the same."""
        records, before = self.home.records, self.lane.answered
        records.clear()
        slow = await self.ask("framework", data, bodiless=bodiless)
        slow_records = tuple(records)
        records.clear()
        assert await self.ask("h11", data, bodiless=bodiless) == slow
        assert tuple(records) == slow_records
        records.clear()
        fast = await self.ask("lane", data, bodiless=bodiless)
        assert fast == slow
        assert tuple(map(_told, records)) == tuple(map(_told, slow_records))
        return Compared(answer=fast, answered=self.lane.answered > before, records=slow_records)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """`answered` says that the lane did not step aside."""

    answer: bytes
    answered: bool
    records: tuple[CheckRecord, ...]

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ")[1]) if self.answer else 0


def _told(record: CheckRecord) -> CheckRecord:
    """Of what passes, nobody is told the query or the headers."""
    if record.outcome != "allow" or record.request is None:
        return record
    return replace(record, request=replace(record.request, query=None, headers=()))


async def answer(reader: asyncio.StreamReader, *, bodiless: bool = False) -> bytes:
    """Nothing, where the connection was closed without one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"date: ")]
    lengths = [int(line[16:]) for line in lines if line.startswith(b"content-length: ")]
    body = b"" if bodiless else await reader.readexactly(sum(lengths))
    return b"\r\n".join(lines) + body


def both_of(home: House, *, trusted: Networks = LOOPBACK, hops: Networks | None = None) -> Both:
    """Every answer has the same request id."""
    hops = Networks() if hops is None else hops
    gate = replace(home.gate, request_id=lambda: "request")
    near = Remembered(sessions=home.sessions)
    enabled = adapters(NAMES, trusted_hops=hops)
    app = CheckApp(gate=gate, adapters=enabled, trusted=trusted)
    lane = lane_beside(
        gate,
        adapters=enabled,
        trusted_hops=hops,
        near=near,
        passed=lambda _adapter: lambda _seconds: False,
        trusts=app.trusts,
        steady_until=home.signer.steady_until,
        request_id=gate.request_id,
    )
    return Both(home=home, app=app, lane=Counting(lane), near=near)


@contextlib.asynccontextmanager
async def listening(both: Both, *, limits: Limits | None = None) -> AsyncIterator[Both]:
    protocols: dict[str, Callable[..., Limited]] = {
        "framework": httptools.LimitedProtocol,
        "h11": h11.LimitedProtocol,
        "lane": partial(
            LaneProtocol,
            lane=lambda: both.lane,
            hold=lambda: lambda: None,
            background=BackgroundTasks(),
        ),
    }
    async with contextlib.AsyncExitStack() as stack:
        for way, protocol in protocols.items():
            (socket,) = bind("server.listen", TcpAddress("127.0.0.1", 0))
            both.ports[way] = socket.getsockname()[1]
            serving = Serving(
                app=both.app, limits=limits or Limits(), drain_seconds=2, protocol=protocol
            )
            await stack.enter_async_context(_served(serving, socket))
        yield both


@contextlib.asynccontextmanager
async def _served(serving: Serving, socket: Any) -> AsyncIterator[None]:
    listener = serving.listener()
    task = asyncio.create_task(listener.serve(sockets=[socket]))
    while not listener.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        listener.should_exit = True
        await task


def bytes_of(raw: RawRequest, *, version: str = "1.1", title: bool = True) -> bytes:
    """With header names as most proxies write them, or in lower case."""
    head = f"{raw.method} {raw.target} HTTP/{version}\r\n"
    names = ((name.title() if title else name, value) for name, value in raw.headers)
    lines = "".join(f"{name}: {value}\r\n" for name, value in names)
    return f"{head}{lines}\r\n".encode("latin-1")
