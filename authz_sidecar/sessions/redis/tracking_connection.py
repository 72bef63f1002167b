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

_PUSHED = object()

_EPOCH, _SIZE = b"cluster_current_epoch:", b"cluster_size:"


class RefusedError(Exception):
    """The server will not track: it is too old, or we may not ask it to."""


class MovedError(Exception):
    """This server is not, or not alone, where changes happen any more."""


class Link:
    def __init__(
        self,
        connection: IdentifiedConnection,
        *,
        question: tuple[str, ...],
        on_keys: Callable[[list[bytes] | None], None],
        clock: Callable[[], float],
    ) -> None:
        self.connection = connection
        self._question = question
        self._on_keys = on_keys
        self._clock = clock
        self._asked: deque[float] = deque()
        self.shape: tuple[bytes, ...] | None = None
        """Of a cluster, as this server sees it."""
        self.answered_at = -math.inf
        """When the last question was asked that was answered since."""

    async def open(self, prefixes: tuple[str, ...]) -> None:
        """Have changes told of all keys that begin so; without any, only ask. Raises
        `RefusedError`."""
        await self.connection.connect()
        # Silence is judged by whoever asks. (And in Python 3.11 the `wait_for` that the client would
        # send with may swallow a cancellation.)
        self.connection.socket_timeout = None
        if prefixes:
            if self.connection.run_id is None:
                raise RefusedError("the user may not run INFO, by which servers are told apart")
            await self._track(prefixes)
        await self.ask()
        await self.read()

    async def _track(self, prefixes: tuple[str, ...]) -> None:
        parser: Any = self.connection._parser  # noqa: SLF001
        parser.set_invalidation_push_handler(self._pushed)
        wanted = [word for prefix in prefixes for word in ("PREFIX", prefix)]
        await self.connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *wanted)
        try:
            await self.connection.read_response(push_request=True)
        except ResponseError as error:
            raise RefusedError(str(error)) from error

    async def ask(self) -> None:
        # The client would connect again by itself, and nothing would be tracked.
        if not self.connection.is_connected:
            raise RedisConnectionError("the connection for changes was closed")
        self._asked.append(self._clock())
        await self.connection.send_command(*self._question, check_health=False)

    async def read(self) -> None:
        """Until the next answer."""
        while True:
            try:
                answer = await self.connection.read_response(push_request=True, timeout=math.inf)
            except NoPermissionError as error:
                # Without an answer a change would go unnoticed.
                raise RefusedError(str(error)) from error
            if answer is not _PUSHED:
                break
        self._check(answer)
        self.answered_at = self._asked.popleft()

    async def aclose(self) -> None:
        await self.connection.disconnect(nowait=True)

    async def _pushed(self, message: list[Any]) -> object:
        self._on_keys(message[1])
        return _PUSHED

    def _check(self, answer: Any) -> None:
        """HELLO says what a server is; the epoch of a cluster rises when slots change hands."""
        if isinstance(answer, dict):
            if answer.get(b"role") != b"master":
                raise MovedError("it is no primary any more")
        elif isinstance(answer, bytes):
            shape = tuple(_field(answer, name) for name in (_EPOCH, _SIZE))
            if self.shape not in (None, shape):
                raise MovedError("the cluster has changed")
            self.shape = shape
        else:
            raise MovedError("it answers what was not asked")


def _field(info: bytes, name: bytes) -> bytes:
    return info.partition(name)[2].split(b"\r\n", 1)[0]
