"""One HTTP listener: uvicorn with our limits and without its signal handlers.

Several listeners run in one process and stop in an order that the caller decides. Must not know
what the applications serve.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.server import ServerState

from authz_sidecar.server.limits import ListenerLimits
from authz_sidecar.server.protocol import HardenedHttpProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

# Longer than nginx (60 s), Traefik (90 s) and Caddy (120 s) keep an idle connection, so that the
# proxy closes first: a request sent while we close would be lost. Envoy's hour is set in its deploy
# file.
KEEP_ALIVE_SECONDS = 150
DRAIN_SECONDS = 20


class _ServerState(ServerState):
    """uvicorn's server state; `draining` is set while the server stops."""

    draining = False


class HttpServer(uvicorn.Server):
    """A uvicorn server that stops when `should_exit` is set, and never by a signal."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = self._state = _ServerState()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers of the process as they are."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, and tell connections accepted late to close after one response."""
        self._state.draining = True
        await super().shutdown(sockets)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """The configuration of one listener.

    `app`: the ASGI application.
    `on_refusal`: called with the status of each refused request.
    `drain_seconds`: how long open requests may take at a stop.
    `protocol`: the protocol class, or a function with the parameters of `HardenedHttpProtocol`.
    """

    app: Callable[..., Any]
    limits: ListenerLimits = field(default_factory=ListenerLimits)
    on_refusal: Callable[[int], None] = lambda _status: None
    drain_seconds: int = DRAIN_SECONDS
    protocol: Callable[..., HardenedHttpProtocol] = HardenedHttpProtocol

    def create_server(self) -> HttpServer:
        """Return a server for this listener, not started yet."""
        protocol = partial(self.protocol, limits=self.limits, on_refusal=self.on_refusal)
        return HttpServer(
            uvicorn.Config(
                self.app,
                http=cast("Any", protocol),
                ws="none",
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
                server_header=False,
                date_header=True,
                log_config=None,
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=self.drain_seconds,
            )
        )
