"""One connection on which one primary tells of changes, and whether it still is a primary.

Decides what is asked on it and what the answers mean; who keeps asking, and what follows from
silence, is decided by `tracking`.
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
    """The server will not track: it is too old, or we may not ask it to."""


class TopologyChangedError(Exception):
    """This server is not, or not alone, where changes happen any more."""


class TrackingConnection:
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
        """Of a cluster, as this server sees it."""
        self.confirmed_at = -math.inf
        """When the last question was asked that was answered since."""

    async def open(self, prefixes: tuple[str, ...]) -> None:
        """Have changes told of all keys that begin so; without any, only ask. Raises
        `TrackingUnsupportedError`."""
        await self.connection.connect()
        # Silence is judged by whoever asks. (And in Python 3.11 the `wait_for` that the client would
        # send with may swallow a cancellation.)
        self.connection.socket_timeout = None
        if prefixes:
            if self.connection.run_id is None:
                raise TrackingUnsupportedError(
                    "the user may not run INFO, by which servers are told apart"
                )
            await self._enable_tracking(prefixes)
        await self.ping()
        await self.read_response()

    async def _enable_tracking(self, prefixes: tuple[str, ...]) -> None:
        parser: Any = self.connection._parser  # noqa: SLF001
        parser.set_invalidation_push_handler(self._on_push)
        wanted = [word for prefix in prefixes for word in ("PREFIX", prefix)]
        await self.connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *wanted)
        try:
            await self.connection.read_response(push_request=True)
        except ResponseError as error:
            raise TrackingUnsupportedError(str(error)) from error

    async def ping(self) -> None:
        # The client would connect again by itself, and nothing would be tracked.
        if not self.connection.is_connected:
            raise RedisConnectionError("the connection for changes was closed")
        self._ping_times.append(self._clock())
        await self.connection.send_command(*self._ping_command, check_health=False)

    async def read_response(self) -> None:
        """Until the next answer."""
        while True:
            try:
                response = await self.connection.read_response(push_request=True, timeout=math.inf)
            except NoPermissionError as error:
                # Without an answer a change would go unnoticed.
                raise TrackingUnsupportedError(str(error)) from error
            if response is not _PUSH:
                break
        self._check_topology(response)
        self.confirmed_at = self._ping_times.popleft()

    async def aclose(self) -> None:
        await self.connection.disconnect(nowait=True)

    async def _on_push(self, message: list[Any]) -> object:
        self._on_keys(message[1])
        return _PUSH

    def _check_topology(self, response: Any) -> None:
        """HELLO says what a server is; the epoch of a cluster rises when slots change hands."""
        if isinstance(response, dict):
            if response.get(b"role") != b"master":
                raise TopologyChangedError("it is no primary any more")
        elif isinstance(response, bytes):
            topology = tuple(_field(response, name) for name in (_CLUSTER_EPOCH, _CLUSTER_SIZE))
            if self.topology not in (None, topology):
                raise TopologyChangedError("the cluster has changed")
            self.topology = topology
        else:
            raise TopologyChangedError("it answers what was not asked")


def _field(info: bytes, name: bytes) -> bytes:
    return info.partition(name)[2].split(b"\r\n", 1)[0]
