"""A listener on a free loopback port, and a client that sends bytes as they are."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.server.http_server import ListenerConfig
from authz_sidecar.server.listeners import bind
from tests.servers.sidecar import start_module_sidecar, start_sidecar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from authz_sidecar.server.http_server import HttpServer
    from authz_sidecar.server.limits import ListenerLimits

__all__ = ["serve", "start_module_sidecar", "start_sidecar"]


class ListenerFixture:
    """A listener whose application keeps the scopes that it was asked with."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.scopes: list[dict[str, Any]] = []
        self.refusals: list[int] = []
        self.bodies: list[bytes] = []
        self.disconnects = 0
        self.listener: HttpServer | None = None
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        self._clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self._clients[-1]

    @property
    def connections(self) -> int:
        assert self.listener is not None
        return len(self.listener.server_state.connections)

    def stop(self) -> None:
        assert self.listener is not None
        self.listener.should_exit = True

    async def close_clients(self) -> None:
        for client in self._clients:
            client.close()
            with contextlib.suppress(OSError):
                await client.wait_closed()

    async def send(self, request: bytes) -> bytes:
        """Send, and read until the server closes."""
        client = await self.connect()
        client.send(request)
        return await client.read_rest()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def read_response(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """One response with a Content-Length."""
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 5)
        status_line, *lines = head[:-4].split(b"\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)
        }
        body = await self._reader.readexactly(int(headers.get(b"content-length", b"0")))
        return int(status_line.split()[1]), headers, body

    async def read_some(self) -> bytes:
        return await asyncio.wait_for(self._reader.read(65536), 5)

    async def read_rest(self) -> bytes:
        data = await asyncio.wait_for(self._reader.read(), 5)
        self.close()
        return data

    def close(self) -> None:
        self._writer.close()

    async def wait_closed(self) -> None:
        await self._writer.wait_closed()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[ListenerLimits], Any]]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            limits: ListenerLimits,
            *,
            delay: float = 0.0,
            read_body: bool = False,
            body: bytes = b"",
        ) -> ListenerFixture:
            running = _running_listener(limits, delay, read_body=read_body, body=body)
            return await stack.enter_async_context(running)

        yield start


@contextlib.asynccontextmanager
async def _running_listener(
    limits: ListenerLimits,
    delay: float,
    *,
    read_body: bool,
    body: bytes,
) -> AsyncIterator[ListenerFixture]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        running.scopes.append(scope)
        content = b""
        while read_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                running.disconnects += 1
                return
            content += message["body"]
            if not message["more_body"]:
                running.bodies.append(content)
                break
        await asyncio.sleep(delay)
        content_sent = body or scope["authz_target"]
        headers = [(b"content-length", str(len(content_sent)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content_sent})

    (listening,) = bind("server.listen", TcpAddress("127.0.0.1", 0))
    running = ListenerFixture(listening.getsockname()[1])
    serving = ListenerConfig(
        app=app,
        limits=limits,
        on_refusal=running.refusals.append,
        drain_seconds=2,
    ).create_server()
    running.listener = serving
    task = asyncio.create_task(serving.serve(sockets=[listening]))
    while not serving.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield running
    finally:
        await running.close_clients()
        serving.should_exit = True
        await task
