"""The protocol over h11, which is written in Python, for where httptools is missing: the same limits
and refusals, and no lane."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.server.grammar import MalformedError
from authz_sidecar.server.protocol import HardenedHttpProtocol, RequestRefusedError
from authz_sidecar.server.reading import Parser

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from authz_sidecar.server.limits import ErrorResponse


class _Cycle(RequestResponseCycle):
    """Says of each last answer that it is one."""

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start" and not self.keep_alive:
            message = {**message, "headers": [*message.get("headers", []), CLOSE_HEADER]}
        await super().send(message)


class _Told(H11Protocol):
    """uvicorn's protocol, told by our parser what it would ask h11 for. Does what
    `HttpToolsProtocol` does, requests that wait for their turn included."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = Parser(self)
        self.pipeline: deque[_Cycle] = deque()
        self.url = b""
        self._background = BackgroundTasks()

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.scope = {}  # type: ignore[typeddict-item]

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.conn = self.parser.exchange
        raw_path, _, query = self.url.partition(b"?")
        self.scope.update(
            {
                "type": "http",
                "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
                "http_version": self.parser.get_http_version(),
                "server": self.server,
                "client": self.client,
                "scheme": self.scheme or "http",
                "method": self.parser.get_method().decode("ascii"),
                "root_path": self.root_path,
                "path": self.root_path + unquote(raw_path.decode("ascii")),
                "raw_path": self.root_path.encode("ascii") + raw_path,
                "query_string": query,
                "headers": self.headers,
                "state": self.app_state.copy(),
            }
        )
        before, self.cycle = self.cycle, self._cycle()
        if before is None or before.response_complete:
            self._start(self.cycle)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft(self.cycle)

    def _cycle(self) -> _Cycle:
        cycle = _Cycle(
            scope=self.scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        cycle.keep_alive = self.parser.should_keep_alive()
        return cycle

    def _start(self, cycle: RequestResponseCycle) -> None:
        task = self._background.start(cycle.run_asgi(self.app), name="request")
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.cycle.response_complete:
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.pipeline:
            self._start(self.pipeline.pop())
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


class LimitedProtocol(HardenedHttpProtocol, _Told):
    """uvicorn's, within our limits and without its leniencies and h11's."""

    parser_errors = (MalformedError, h11.RemoteProtocolError, RequestRefusedError)

    def _refuse(self, error_response: ErrorResponse, *, linger: bool = True) -> None:
        super()._refuse(error_response, linger=linger)
        self.parser.drop()  # not until the connection ends, which may linger
