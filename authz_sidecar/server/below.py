"""What `server/protocol.py` finds below itself: uvicorn's protocols, as far as they are alike. For the
type checker alone; nothing of this exists when the server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections import deque

    from uvicorn.config import Config
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.server import ServerState


class Below:
    """A connection that answers, and whose parser tells it what it reads."""

    transport: asyncio.Transport
    flow: FlowControl
    loop: asyncio.AbstractEventLoop
    server_state: ServerState
    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    parser: Any
    cycle: Any
    pipeline: deque[Any]
    scope: Any
    url: bytes
    headers: list[tuple[bytes, bytes]]
    timeout_keep_alive: int
    timeout_keep_alive_task: asyncio.TimerHandle | None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None: ...
    def connection_made(self, transport: Any) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def timeout_keep_alive_handler(self) -> None: ...
    def _unset_keepalive_if_required(self) -> None: ...
    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...
    def on_response_complete(self) -> None: ...
