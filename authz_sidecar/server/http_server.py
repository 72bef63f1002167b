"""One listener: an application behind uvicorn with our limits, without uvicorn's signal handling,
so that several can live in one process and stop in an order of ours."""

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

# Longer than nginx (60 s), Traefik (90 s) and Caddy (120 s) keep an idle connection: whoever closes
# first loses no request of the other's. Envoy's hour is set in its deploy file.
KEEP_ALIVE_SECONDS = 150
DRAIN_SECONDS = 20


class _ServerState(ServerState):
    """`draining` tells connections that are accepted late that they are the last ones."""

    draining = False


class HttpServer(uvicorn.Server):
    """Stops when `should_exit` is set, and never by a signal."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = self._state = _ServerState()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.draining = True
        await super().shutdown(sockets)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """How one listener serves. `protocol` takes what `HardenedHttpProtocol` takes."""

    app: Callable[..., Any]
    limits: ListenerLimits = field(default_factory=ListenerLimits)
    on_refusal: Callable[[int], None] = lambda _status: None
    drain_seconds: int = DRAIN_SECONDS
    protocol: Callable[..., HardenedHttpProtocol] = HardenedHttpProtocol

    def create_server(self) -> HttpServer:
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
