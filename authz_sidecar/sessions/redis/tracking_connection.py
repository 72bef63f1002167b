"""A connection on which one primary reports changes, and which checks that it still is a primary.

Decides which commands are sent on it and what the responses mean. When to ping, and what follows
from silence, is decided by `redis/invalidation.py`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.redis.connections import IdentifiedConnection

_PUSH = object()

_CLUSTER_EPOCH, _CLUSTER_SIZE = b"cluster_current_epoch:", b"cluster_size:"


class TrackingUnsupportedError(Exception):
    """The server does not track: it is too old, or the user lacks permission."""


class TopologyChangedError(Exception):
    """This server is no primary any more, or the cluster has other primaries."""


class TrackingConnection:
    """A connection in tracking mode (CLIENT TRACKING ON BCAST).

    `connection`: the connection, not opened yet.
    `ping_command`: the command that is sent as ping, whose response shows the topology.
    `on_keys`: called with the changed keys, or with None when all may have changed.
    `clock`: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        connection: IdentifiedConnection,
        *,
        ping_command: tuple[str, ...],
        on_keys: Callable[[list[bytes] | None], None],
        clock: Callable[[], float],
    ) -> None:
        self.connection = connection
        self._ping_command = ping_command
        self._on_keys = on_keys
        self._clock = clock
        self._ping_times: deque[float] = deque()
        self.topology: tuple[bytes, ...] | None = None
        """Epoch and size of the cluster as this server reports them; None outside a cluster."""
        self.confirmed_at = -math.inf
        """When the last ping that was answered had been sent."""

    async def open(self, prefixes: tuple[str, ...]) -> None:
        """Connect, and track all keys with these prefixes; without any, only ping. Raises
        `TrackingUnsupportedError`, `TopologyChangedError` and the client's errors."""
        await self.connection.connect()
        # The tracker has its own limit of silence. (And in Python 3.11, the `wait_for` with which
        # the client would send may swallow a cancellation.)
        self.connection.socket_timeout = None
        if prefixes:
            if self.connection.run_id is None:
                raise TrackingUnsupportedError(
                    "the user may not run INFO, which identifies the server"
                )
            await self._enable_tracking(prefixes)
        await self.ping()
        await self.read_response()

    async def _enable_tracking(self, prefixes: tuple[str, ...]) -> None:
        parser: Any = self.connection._parser  # noqa: SLF001
        parser.set_invalidation_push_handler(self._on_push)
        options = [word for prefix in prefixes for word in ("PREFIX", prefix)]
        await self.connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *options)
        try:
            await self.connection.read_response(push_request=True)
        except ResponseError as error:
            raise TrackingUnsupportedError(str(error)) from error

    async def ping(self) -> None:
        """Send a ping; `read_response` reads its response. Raises `RedisConnectionError` when the
        connection is closed."""
        # The client would reconnect by itself, without tracking.
        if not self.connection.is_connected:
            raise RedisConnectionError("the connection for changes was closed")
        self._ping_times.append(self._clock())
        await self.connection.send_command(*self._ping_command, check_health=False)

    async def read_response(self) -> None:
        """Read the next response, and handle the invalidations before it. Raises
        `TrackingUnsupportedError` without permission for the ping, `TopologyChangedError`, and the
        client's errors."""
        while True:
            try:
                response = await self.connection.read_response(push_request=True, timeout=math.inf)
            except NoPermissionError as error:
                # Without responses to pings, a lost invalidation would go unnoticed.
                raise TrackingUnsupportedError(str(error)) from error
            if response is not _PUSH:
                break
        self._check_topology(response)
        self.confirmed_at = self._ping_times.popleft()

    async def aclose(self) -> None:
        """Close the connection."""
        await self.connection.disconnect(nowait=True)

    async def _on_push(self, message: list[Any]) -> object:
        self._on_keys(message[1])
        return _PUSH

    def _check_topology(self, response: Any) -> None:
        """Check the response of HELLO, which contains the role of the server, or of CLUSTER INFO,
        whose epoch rises when slots change hands."""
        if isinstance(response, dict):
            if response.get(b"role") != b"master":
                raise TopologyChangedError("it is no primary any more")
        elif isinstance(response, bytes):
            topology = tuple(_field(response, name) for name in (_CLUSTER_EPOCH, _CLUSTER_SIZE))
            if self.topology not in (None, topology):
                raise TopologyChangedError("the cluster has changed")
            self.topology = topology
        else:
            raise TopologyChangedError("it sent an unexpected response to a ping")


def _field(info: bytes, name: bytes) -> bytes:
    return info.partition(name)[2].split(b"\r\n", 1)[0]
