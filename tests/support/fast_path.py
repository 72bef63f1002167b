"""A fast path beside an authorizer, over the same sessions, clock and records, each behind a listener,
so that the same bytes can be sent to both."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.registry import NAMES, enabled_adapters
from authz_sidecar.adapters.trusted_peers import NetworkSet
from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.fastpath.raw_responses import RawResponse
from authz_sidecar.fastpath.service import build_fast_path
from authz_sidecar.server.fastpath_protocol import FastPathProtocol
from authz_sidecar.server.http_server import ListenerConfig
from authz_sidecar.server.limits import ListenerLimits
from authz_sidecar.server.listeners import bind
from authz_sidecar.server.protocol import HardenedHttpProtocol
from authz_sidecar.web.check_app import CheckApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from authz_sidecar.adapters.base import SubRequest
    from authz_sidecar.check.authorizer import CheckRecord
    from authz_sidecar.core.types import Session
    from authz_sidecar.fastpath.response_cache import PendingLookup
    from authz_sidecar.fastpath.service import FastPath
    from authz_sidecar.sessions import SessionService
    from tests.support.authorizer import AuthorizerFixture

LOOPBACK = NetworkSet((ip_network("127.0.0.1/32"),))


@dataclass(kw_only=True)
class FakeSessionCache:
    """Sessions in memory, as they were when they were last asked for."""

    sessions: SessionService
    entries: dict[tuple[str, str, str], FakeCachedSession] = field(default_factory=dict)

    async def cache_session(self, token: str, *, scope: str, provider: str) -> None:
        session = await self.sessions.find(token, scope=scope, provider=provider)
        if session is not None:
            self.entries[token, scope, provider] = FakeCachedSession(session=session)

    def lookup(
        self, token: str, *, scope: str, provider: str, now: float
    ) -> FakeCachedSession | None:
        del now
        return self.entries.get((token, scope, provider))

    @property
    def is_store_down(self) -> bool:
        return False

    async def fetch(self, token: str, *, scope: str, provider: str) -> FakeCachedSession | None:
        session = await self.sessions.find(token, scope=scope, provider=provider)
        return None if session is None else FakeCachedSession(session=session)

    def is_current(self, entry: FakeCachedSession, now: float) -> bool:
        del now
        return any(each is entry for each in self.entries.values())

    def add_weight(self, entry: FakeCachedSession, size: int) -> None:
        entry.weight += size


@dataclass(kw_only=True, eq=False)
class FakeCachedSession:
    session: Session
    derived: dict[object, object] = field(default_factory=dict)
    weight: int = 0


class CountingFastPath:
    """A fast path that counts its responses."""

    def __init__(self, fast_path: FastPath) -> None:
        self.fast_path = fast_path
        self.response_count = 0

    @property
    def is_trusted(self) -> Callable[[Mapping[str, Any]], bool]:
        return self.fast_path.is_trusted

    def try_respond(self, data: bytes) -> RawResponse | PendingLookup | None:
        response = self.fast_path.try_respond(data)
        self.response_count += isinstance(response, RawResponse)
        return response

    async def complete_lookup(self, lookup: PendingLookup) -> RawResponse | None:
        written = await self.fast_path.complete_lookup(lookup)
        self.response_count += written is not None
        return written


@dataclass(kw_only=True)
class FastPathComparison:
    """The fast path and the ASGI application, and a listener for each."""

    fixture: AuthorizerFixture
    app: CheckApp
    fast_path: CountingFastPath
    session_cache: FakeSessionCache
    ports: dict[str, int] = field(default_factory=dict)

    async def sign_in(self, *arguments: Any, **options: Any) -> tuple[str, str]:
        """As of the house, and near."""
        name, line = await self.fixture.sign_in(*arguments, **options)
        await self.cache_session(line.partition("=")[2])
        return name, line

    async def cache_session(self, token: str) -> None:
        for origin in self.fixture.authorizer.index.origins:
            for route in self.fixture.authorizer.index.for_host(origin):
                for provider in route.providers:
                    scope = self.fixture.cookies.scope_for(origin)
                    await self.session_cache.cache_session(token, scope=scope, provider=provider)

    async def send(self, listener: str, data: bytes, *, bodiless: bool = False) -> bytes:
        """One answer, byte for byte but for its date."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[listener])
        try:
            writer.write(data)
            async with asyncio.timeout(20):
                return await read_response(reader, bodiless=bodiless)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def compare(self, data: bytes, *, bodiless: bool = False) -> ComparisonResult:
        """Return the response of both to the same bytes; assert that they are equal."""
        records, before = self.fixture.records, self.fast_path.response_count
        records.clear()
        slow = await self.send("framework", data, bodiless=bodiless)
        slow_records = tuple(records)
        records.clear()
        fast = await self.send("lane", data, bodiless=bodiless)
        assert fast == slow
        assert tuple(map(_without_query_and_headers, records)) == tuple(
            map(_without_query_and_headers, slow_records)
        )
        return ComparisonResult(
            response=fast,
            from_fast_path=self.fast_path.response_count > before,
            records=slow_records,
        )


@dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """`from_fast_path`: whether the fast path responded, instead of falling through to ASGI."""

    response: bytes
    from_fast_path: bool
    records: tuple[CheckRecord, ...]

    @property
    def status(self) -> int:
        return int(self.response.split(b" ")[1]) if self.response else 0


def _without_query_and_headers(record: CheckRecord) -> CheckRecord:
    """Of what passes, nobody is told the query or the headers."""
    if record.outcome != "allow" or record.request is None:
        return record
    return replace(record, request=replace(record.request, query=None, headers=()))


async def read_response(reader: asyncio.StreamReader, *, bodiless: bool = False) -> bytes:
    """Nothing, where the connection was closed without one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"date: ")]
    lengths = [int(line[16:]) for line in lines if line.startswith(b"content-length: ")]
    body = b"" if bodiless else await reader.readexactly(sum(lengths))
    return b"\r\n".join(lines) + body


def build_comparison(
    fixture: AuthorizerFixture, *, trusted: NetworkSet = LOOPBACK, hops: NetworkSet | None = None
) -> FastPathComparison:
    """Every answer has the same request id."""
    hops = NetworkSet() if hops is None else hops
    gate = replace(fixture.authorizer, request_id=lambda: "request")
    session_cache = FakeSessionCache(sessions=fixture.sessions)
    enabled = enabled_adapters(NAMES, trusted_hops=hops)
    app = CheckApp(authorizer=gate, adapters=enabled, trusted_peers=trusted)
    fast_path = build_fast_path(
        gate,
        adapters=enabled,
        trusted_hops=hops,
        sessions=session_cache,
        count_allowed=lambda _adapter: lambda _seconds: False,
        is_trusted=app.is_trusted_connection,
        headers_stable_until=fixture.signer.stable_until,
        request_id=gate.request_id,
    )
    return FastPathComparison(
        fixture=fixture, app=app, fast_path=CountingFastPath(fast_path), session_cache=session_cache
    )


@contextlib.asynccontextmanager
async def running_listeners(
    comparison: FastPathComparison, *, limits: ListenerLimits | None = None
) -> AsyncIterator[FastPathComparison]:
    protocols: dict[str, Callable[..., HardenedHttpProtocol]] = {
        "framework": HardenedHttpProtocol,
        "lane": partial(
            FastPathProtocol,
            fast_path=lambda: comparison.fast_path,
            acquire_generation=lambda: lambda: None,
            background=BackgroundTasks(),
        ),
    }
    async with contextlib.AsyncExitStack() as stack:
        for name, protocol in protocols.items():
            (socket,) = bind("server.listen", TcpAddress("127.0.0.1", 0))
            comparison.ports[name] = socket.getsockname()[1]
            serving = ListenerConfig(
                app=comparison.app,
                limits=limits or ListenerLimits(),
                drain_seconds=2,
                protocol=protocol,
            )
            await stack.enter_async_context(_running_listener(serving, socket))
        yield comparison


@contextlib.asynccontextmanager
async def _running_listener(serving: ListenerConfig, socket: Any) -> AsyncIterator[None]:
    listener = serving.create_server()
    task = asyncio.create_task(listener.serve(sockets=[socket]))
    while not listener.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        listener.should_exit = True
        await task


def serialize_request(raw: SubRequest, *, version: str = "1.1", title_case: bool = True) -> bytes:
    """With header names as most proxies write them, or in lower case."""
    head = f"{raw.method} {raw.target} HTTP/{version}\r\n"
    names = ((name.title() if title_case else name, value) for name, value in raw.headers)
    lines = "".join(f"{name}: {value}\r\n" for name, value in names)
    return f"{head}{lines}\r\n".encode("latin-1")
