"""One connection on which one primary tells of changes, and whether it still is a primary.

Decides what is asked on it and what the answers mean; who keeps asking, and what follows from
silence, is decided by `tracking`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

_PUSHED = object()

_EPOCH, _SIZE = b"cluster_current_epoch:", b"cluster_size:"


class RefusedError(Exception):
    """The server will not track: it is too old, or we may not ask it to."""


class MovedError(Exception):
    """This server is not, or not alone, where changes happen any more."""


async def primaries(client: Redis | RedisCluster) -> list[Any]:
    """A connection of its own to each, not opened yet. A cluster is asked anew who they are."""
    if isinstance(client, RedisCluster):
        await client.initialize()
        await client.nodes_manager.initialize()
        return [node.connection_class(**node.connection_kwargs) for node in client.get_primaries()]
    return [client.connection_pool.make_connection()]  # type: ignore[no-untyped-call]


class Link:
    def __init__(
        self,
        connection: Any,
        *,
        question: tuple[str, ...],
        on_keys: Callable[[list[bytes] | None], None],
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._question = question
        self._on_keys = on_keys
        self._clock = clock
        self._asked: deque[float] = deque()
        self._shape: tuple[bytes, ...] | None = None
        self.answered_at = -math.inf
        """When the last question was asked that was answered since."""

    @property
    def address(self) -> tuple[str, int]:
        return self._connection.host, int(self._connection.port)

    async def open(self, prefixes: tuple[str, ...]) -> None:
        await self._connection.connect()
        # Silence is judged by whoever asks. (And in Python 3.11 the `wait_for` that the client would
        # send with may swallow a cancellation.)
        self._connection.socket_timeout = None
        self._connection._parser.set_invalidation_push_handler(self._pushed)  # noqa: SLF001
        wanted = [word for prefix in prefixes for word in ("PREFIX", prefix)]
        await self._connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *wanted)
        try:
            await self._connection.read_response(push_request=True)
        except ResponseError as error:
            raise RefusedError(str(error)) from error
        await self.ask()
        await self.read()

    async def ask(self) -> None:
        # The client would connect again by itself, and nothing would be tracked.
        if not self._connection.is_connected:
            raise RedisConnectionError("the connection for changes was closed")
        self._asked.append(self._clock())
        await self._connection.send_command(*self._question, check_health=False)

    async def read(self) -> None:
        """Until the next answer."""
        while True:
            try:
                answer = await self._connection.read_response(push_request=True, timeout=math.inf)
            except ResponseError:
                answer = None  # whoever may not ask this is answered all the same
            if answer is not _PUSHED:
                break
        self._check(answer)
        self.answered_at = self._asked.popleft()

    async def aclose(self) -> None:
        await self._connection.disconnect(nowait=True)

    async def _pushed(self, message: list[Any]) -> object:
        self._on_keys(message[1])
        return _PUSHED

    def _check(self, answer: Any) -> None:
        """ROLE says what a server is; the epoch of a cluster rises when slots change hands."""
        if isinstance(answer, list) and answer and answer[0] != b"master":
            raise MovedError("not a primary")
        if isinstance(answer, bytes):
            shape = tuple(_field(answer, name) for name in (_EPOCH, _SIZE))
            if self._shape not in (None, shape):
                raise MovedError("the cluster has changed")
            self._shape = shape


def _field(info: bytes, name: bytes) -> bytes:
    return info.partition(name)[2].split(b"\r\n", 1)[0]
