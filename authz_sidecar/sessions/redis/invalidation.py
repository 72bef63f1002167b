"""Client-side caching in Redis: a tracking connection to every primary, in broadcast mode, in
which the server keeps no state per key and reports every changed key with one of the prefixes.
https://redis.io/docs/latest/develop/reference/client-side-caching/

Pings twice a second on the same connections: every change before a response was reported before
it. Decides when tracking is lost, and starts it again. Knows nothing of sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisClusterException, RedisError

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.sessions.redis.primaries import OutdatedReportError
from authz_sidecar.sessions.redis.probe import PrimaryProbe
from authz_sidecar.sessions.redis.tracking_connection import (
    TopologyChangedError,
    TrackingConnection,
    TrackingUnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.redis.clients import RedisConnections
    from authz_sidecar.sessions.store import InvalidationListener

logger = logging.getLogger(__name__)

PING_INTERVAL_SECONDS = 0.5
MAX_SILENCE_SECONDS = 3.0
"""When a silent connection is closed; the listener stops to rely on it long before."""

START_JITTER_SECONDS = 0.1
"""The range of the random delay of the first connections: many workers start at the same moment."""

UNSUPPORTED_RETRY_SECONDS = 60.0

_OPEN_SECONDS = 3.0
_SECONDS_TO_CANCEL = 0.1
_LOG_INTERVAL_SECONDS = 60.0
_MIN_BACK_OFF_SECONDS, _MAX_BACK_OFF_SECONDS = 0.05, 1.0

# The client drops its socket when it is closed during a write (`AttributeError`); a response
# without a ping raises `LookupError`.
_CONNECTION_ERRORS = (
    RedisError,
    RedisClusterException,
    OSError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    OutdatedReportError,
)


class _RetryTrackingError(Exception):
    """It is time to retry tracking on a server that did not support it."""


class InvalidationTracker:
    """An `InvalidationSubscription` for one Redis, a primary behind Sentinels, or all primaries of
    a cluster. Without prefixes, or when the server does not support tracking, it only ends the
    term when the primary changes.

    `connections`: the Redis.
    `listener`: is notified of changes.
    `prefixes`: the prefixes of the keys to track.
    `name`: the location of the Redis, for logs.
    `clock`: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        connections: RedisConnections,
        listener: InvalidationListener,
        *,
        prefixes: tuple[str, ...],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._primaries = connections.primaries
        self._probe = PrimaryProbe(connections, clock=clock)
        self._listener = listener
        self._prefixes = prefixes
        self._name = name
        self._clock = clock
        self._ping_command = ("CLUSTER", "INFO") if connections.is_cluster else ("HELLO", "3")
        self._background = BackgroundTasks()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._epoch_ended = asyncio.Event()
        self._closed = False
        self._retry_tracking_at = -math.inf
        self._warned = False
        self._warned_at = -math.inf

    def start(self) -> None:
        """Start tracking and probing in the background, unless started."""
        if not self._tasks:
            self._primaries.subscribe(self._on_epoch_end)
            self._tasks = (
                self._background.supervise(self._run, name="session changes"),
                self._background.supervise(self._probe.run, name="session store addresses"),
            )

    async def aclose(self) -> None:
        """Stop tracking and probing."""
        self._closed = True
        self._primaries.unsubscribe(self._on_epoch_end)
        pending = set(self._tasks)
        while pending:
            # Python 3.11 may swallow a cancellation (`wait_for`, with which the client writes).
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_SECONDS_TO_CANCEL)

    async def _run(self) -> None:
        back_off = _MIN_BACK_OFF_SECONDS
        await asyncio.sleep(random.uniform(0, START_JITTER_SECONDS))  # noqa: S311
        # A flag, because Python 3.11 forgets that the task was cancelled when a task of its group
        # fails at the same moment.
        while not self._closed:
            started_at = self._clock()
            prefixes = self._prefixes if started_at >= self._retry_tracking_at else ()
            try:
                await self._track(prefixes)
            except* TrackingUnsupportedError as unsupported:
                self._on_unsupported(_first_error(unsupported))
                back_off = _MIN_BACK_OFF_SECONDS if prefixes else UNSUPPORTED_RETRY_SECONDS
            except* _RetryTrackingError:
                back_off = _MIN_BACK_OFF_SECONDS
            except* (TopologyChangedError, *_CONNECTION_ERRORS) as error:
                logger.debug(
                    "out of touch with changes in `%s`: %s", self._name, _first_error(error)
                )
                was_stable = self._clock() - started_at > 2 * _OPEN_SECONDS
                back_off = (
                    _MIN_BACK_OFF_SECONDS
                    if was_stable
                    else min(2 * back_off, _MAX_BACK_OFF_SECONDS)
                )
            except* Exception:
                # The next attempt may succeed; without one there is no near cache.
                logger.exception("changes in `%s` cannot be followed", self._name)
                back_off = _MAX_BACK_OFF_SECONDS
            finally:
                self._listener.on_disconnected()
            if not self._closed:
                # Jitter: not all workers at the same moment.
                await asyncio.sleep(back_off * random.uniform(0.5, 1.5))  # noqa: S311

    async def _track(self, prefixes: tuple[str, ...]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(_OPEN_SECONDS):
                connections = await self._open_connections(stack, prefixes)
            self._begin_epoch(connections, prefixes)
            self._epoch_ended.clear()
            try:
                async with asyncio.TaskGroup() as tasks:
                    for connection in connections:
                        tasks.create_task(self._read_responses(connection, connections))
                    tasks.create_task(self._ping(connections))
                    tasks.create_task(self._wait_for_epoch_end())
                    if prefixes != self._prefixes:
                        tasks.create_task(self._wait_for_retry())
            except* _RetryTrackingError:
                raise
            except* Exception as lost:
                self._end_term(_first_error(lost))
                raise

    async def _open_connections(
        self, stack: contextlib.AsyncExitStack, prefixes: tuple[str, ...]
    ) -> list[TrackingConnection]:
        connections = [
            TrackingConnection(
                connection,
                ping_command=self._ping_command,
                on_keys=self._on_keys,
                clock=self._clock,
            )
            for connection in await self._connections.dedicated_connections()
        ]
        for connection in connections:
            stack.push_async_callback(connection.aclose)
        async with asyncio.TaskGroup() as tasks:
            for connection in connections:
                tasks.create_task(connection.open(prefixes))
        if len({connection.topology for connection in connections}) != 1:
            raise TopologyChangedError("the servers of the cluster do not agree yet")
        return connections

    def _begin_epoch(
        self, connections: list[TrackingConnection], prefixes: tuple[str, ...]
    ) -> None:
        generations = {tracking.connection.generation for tracking in connections}
        if prefixes:
            if len(generations) != 1:
                raise TopologyChangedError("it has changed meanwhile")
            addresses = {tracking.connection.address for tracking in connections}
            self._primaries.begin_epoch(generations.pop(), addresses)
            self._listener.on_connected(min(tracking.confirmed_at for tracking in connections))

    def _end_term(self, reason: BaseException) -> None:
        """End the term, or the epoch of a cluster, unless it has ended already."""
        if self._closed or self._epoch_ended.is_set():
            return
        if self._connections.is_cluster:
            self._primaries.end_epoch(str(reason))
        else:
            self._primaries.end_term(str(reason))

    def _on_epoch_end(self, reason: str) -> None:
        """The subscriber of `PrimaryRegistry`: called synchronously when an epoch or term ends."""
        self._epoch_ended.set()
        self._listener.on_disconnected()
        now = self._clock()
        if now - self._warned_at >= _LOG_INTERVAL_SECONDS:
            logger.warning(
                "the session store `%s` may have a new primary (%s): connections to it are"
                " replaced, and sessions in memory are verified again",
                self._name,
                reason,
            )
            self._warned_at = now

    async def _read_responses(
        self, connection: TrackingConnection, connections: list[TrackingConnection]
    ) -> None:
        while True:
            await connection.read_response()
            self._listener.on_confirmed(min(tracking.confirmed_at for tracking in connections))

    async def _ping(self, connections: list[TrackingConnection]) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL_SECONDS)
            for connection in connections:
                if self._clock() - connection.confirmed_at > MAX_SILENCE_SECONDS:
                    raise TimeoutError("silence")
                await connection.ping()

    async def _wait_for_epoch_end(self) -> None:
        await self._epoch_ended.wait()
        raise TopologyChangedError("the primary may have changed")

    async def _wait_for_retry(self) -> None:
        await asyncio.sleep(self._retry_tracking_at - self._clock())
        raise _RetryTrackingError

    def _on_keys(self, keys: list[bytes] | None) -> None:
        if keys is None:
            self._listener.on_all_invalidated()
        else:
            self._listener.on_invalidated([key.decode("utf-8", "replace") for key in keys])

    def _on_unsupported(self, reason: BaseException) -> None:
        self._retry_tracking_at = self._clock() + UNSUPPORTED_RETRY_SECONDS
        self._listener.on_unsupported()
        if not self._warned:
            logger.warning(
                "the session store `%s` will not tell of changes (%s): no session is kept in"
                " memory, every check asks the store",
                self._name,
                reason,
            )
            self._warned = True


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
