"""Hears of changes in Redis: one connection to every primary, in broadcast mode, where the server
remembers nothing about us and names every changed key that begins as told.

Asks on the same connections twice a second: whatever was changed before an answer has been read
before it. Decides when the thread is lost, and takes it up again. Knows nothing of sessions.
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
from authz_sidecar.sessions.redis.primaries import OutdatedError
from authz_sidecar.sessions.redis.probe import Probe
from authz_sidecar.sessions.redis.tracking_connection import Link, MovedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.redis.clients import Connected
    from authz_sidecar.sessions.store import Listener

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_PINGS = 0.5
SECONDS_OF_SILENCE = 3.0
"""After which a connection is given up; whoever listens stops to rely on it long before."""

SECONDS_TO_SPREAD = 0.1
"""Over which the first connections of those who start at the same moment are spread."""

SECONDS_WHILE_REFUSED = 60.0

_SECONDS_TO_OPEN = 3.0
_SECONDS_TO_CANCEL = 0.1
_SECONDS_BETWEEN_LINES = 60.0
_SHORTEST_WAIT, _LONGEST_WAIT = 0.05, 1.0

# The client forgets its socket when it is closed while somebody writes (`AttributeError`); answers
# to nothing that we asked are no answers (`LookupError`).
_LOSSES = (
    RedisError,
    RedisClusterException,
    OSError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    OutdatedError,
)


class _RetryTrackingError(Exception):
    """It is time to ask again for what was refused."""


class Tracking:
    """A `Watch` over one Redis, a primary behind Sentinels, or all primaries of a cluster. Without
    prefixes, and where the server does not track changes for us, it only sees to it that a former
    primary is left."""

    def __init__(
        self,
        connected: Connected,
        listener: Listener,
        *,
        prefixes: tuple[str, ...],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connected = connected
        self._primaries = connected.primaries
        self._probe = Probe(connected, clock=clock)
        self._listener = listener
        self._prefixes = prefixes
        self._name = name
        self._clock = clock
        self._question = ("CLUSTER", "INFO") if connected.is_cluster else ("HELLO", "3")
        self._background = BackgroundTasks()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._over = asyncio.Event()
        self._closed = False
        self._refused_until = -math.inf
        self._warned = False
        self._warned_at = -math.inf

    def start(self) -> None:
        if not self._tasks:
            self._primaries.subscribe(self._ended)
            self._tasks = (
                self._background.keep(self._run, name="session changes"),
                self._background.keep(self._probe.run, name="session store addresses"),
            )

    async def aclose(self) -> None:
        self._closed = True
        self._primaries.unsubscribe(self._ended)
        pending = set(self._tasks)
        while pending:
            # Python 3.11 may swallow a cancellation (`wait_for`, with which the client writes).
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_SECONDS_TO_CANCEL)

    async def _run(self) -> None:
        wait = _SHORTEST_WAIT
        # Workers start together, and so do replicas.
        await asyncio.sleep(random.uniform(0, SECONDS_TO_SPREAD))  # noqa: S311
        # Asked for each time: Python 3.11 forgets that the task was cancelled when a task of its
        # group fails at the same moment.
        while not self._closed:
            began = self._clock()
            prefixes = self._prefixes if began >= self._refused_until else ()
            try:
                await self._listen(prefixes)
            except* RefusedError as refused:
                self._refused(_first(refused))
                wait = _SHORTEST_WAIT if prefixes else SECONDS_WHILE_REFUSED
            except* _RetryTrackingError:
                wait = _SHORTEST_WAIT
            except* (MovedError, *_LOSSES) as lost:
                logger.debug("out of touch with changes in `%s`: %s", self._name, _first(lost))
                lasted = self._clock() - began > 2 * _SECONDS_TO_OPEN
                wait = _SHORTEST_WAIT if lasted else min(2 * wait, _LONGEST_WAIT)
            except* Exception:
                # Whatever this was, the next attempt may succeed; without one there is no near cache.
                logger.exception("changes in `%s` cannot be followed", self._name)
                wait = _LONGEST_WAIT
            finally:
                self._listener.lost()
            if not self._closed:
                # Not all workers at the same moment.
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311

    async def _listen(self, prefixes: tuple[str, ...]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(_SECONDS_TO_OPEN):
                links = await self._opened(stack, prefixes)
            self._begin(links, prefixes)
            self._over.clear()
            try:
                async with asyncio.TaskGroup() as tasks:
                    for link in links:
                        tasks.create_task(self._read(link, links))
                    tasks.create_task(self._ask(links))
                    tasks.create_task(self._wait_until_over())
                    if prefixes != self._prefixes:
                        tasks.create_task(self._wait_while_refused())
            except* _RetryTrackingError:
                raise
            except* Exception as lost:
                self._lost(_first(lost))
                raise

    async def _opened(
        self, stack: contextlib.AsyncExitStack, prefixes: tuple[str, ...]
    ) -> list[Link]:
        links = [
            Link(connection, question=self._question, on_keys=self._changed, clock=self._clock)
            for connection in await self._connected.dedicated_connections()
        ]
        for link in links:
            stack.push_async_callback(link.aclose)
        async with asyncio.TaskGroup() as tasks:
            for link in links:
                tasks.create_task(link.open(prefixes))
        if len({link.shape for link in links}) != 1:
            raise MovedError("the cluster does not agree with itself yet")
        return links

    def _begin(self, links: list[Link], prefixes: tuple[str, ...]) -> None:
        generations = {link.connection.generation for link in links}
        if prefixes:
            if len(generations) != 1:
                raise MovedError("it has changed meanwhile")
            addresses = {link.connection.address for link in links}
            self._primaries.begin_epoch(generations.pop(), addresses)
            self._listener.begun(min(link.answered_at for link in links))

    def _lost(self, reason: BaseException) -> None:
        """End the term, or the epoch of a cluster, unless it has ended already."""
        if self._closed or self._over.is_set():
            return
        if self._connected.is_cluster:
            self._primaries.end_epoch(str(reason))
        else:
            self._primaries.end_term(str(reason))

    def _ended(self, reason: str) -> None:
        """Called at the moment at which an epoch or term ends, whatever has noticed it."""
        self._over.set()
        self._listener.lost()
        now = self._clock()
        if now - self._warned_at >= _SECONDS_BETWEEN_LINES:
            logger.warning(
                "the session store `%s` may have a new primary (%s): connections to it are"
                " replaced, and sessions in memory are verified again",
                self._name,
                reason,
            )
            self._warned_at = now

    async def _read(self, link: Link, links: list[Link]) -> None:
        while True:
            await link.read()
            self._listener.answered(min(each.answered_at for each in links))

    async def _ask(self, links: list[Link]) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_PINGS)
            for link in links:
                if self._clock() - link.answered_at > SECONDS_OF_SILENCE:
                    raise TimeoutError("silence")
                await link.ask()

    async def _wait_until_over(self) -> None:
        await self._over.wait()
        raise MovedError("the primary may have changed")

    async def _wait_while_refused(self) -> None:
        await asyncio.sleep(self._refused_until - self._clock())
        raise _RetryTrackingError

    def _changed(self, keys: list[bytes] | None) -> None:
        if keys is None:
            self._listener.all_changed()
        else:
            self._listener.changed([key.decode("utf-8", "replace") for key in keys])

    def _refused(self, reason: BaseException) -> None:
        self._refused_until = self._clock() + SECONDS_WHILE_REFUSED
        self._listener.refused()
        if not self._warned:
            logger.warning(
                "the session store `%s` will not tell of changes (%s): no session is kept in"
                " memory, every check asks the store",
                self._name,
                reason,
            )
            self._warned = True


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
