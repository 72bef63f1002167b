"""Hears of changes in Redis: one connection to every primary, in broadcast mode, where the server
remembers nothing about us and names every changed key that begins as told.

Asks on the same connections twice a second: whatever was changed before an answer has been read
before it. Decides when the thread is lost, and takes it up again. Knows nothing of sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import RedisClusterException, RedisError

from authz_sidecar.background import BackgroundTasks
from authz_sidecar.sessions.redis.link import Link, MovedError, RefusedError, primaries

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

    from authz_sidecar.sessions.store import Listener

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_PINGS = 0.5
SECONDS_OF_SILENCE = 3.0
"""After which a connection is given up; whoever listens stops to rely on it long before."""

SECONDS_TO_SPREAD = 0.1
"""Over which the first connections of those who start at the same moment are spread."""

_SECONDS_TO_OPEN = 3.0
_SECONDS_BETWEEN_SENTINELS = 5.0
_SECONDS_WHILE_REFUSED = 60.0
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
)


class Tracking:
    """A `Watch` over one Redis, a primary behind Sentinels, or all primaries of a cluster."""

    def __init__(
        self,
        client: Redis | RedisCluster,
        listener: Listener,
        *,
        prefixes: tuple[str, ...],
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._listener = listener
        self._prefixes = prefixes
        self._name = name
        self._clock = clock
        self._question = ("CLUSTER", "INFO") if isinstance(client, RedisCluster) else ("ROLE",)
        self._background = BackgroundTasks()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._warned = False

    def start(self) -> None:
        if self._task is None:
            self._task = self._background.keep(self._run, name="session changes")

    async def aclose(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        wait = _SHORTEST_WAIT
        # Workers start together, and so do replicas.
        await asyncio.sleep(random.uniform(0, SECONDS_TO_SPREAD))  # noqa: S311
        # Asked for each time: Python 3.11 forgets that the task was cancelled when a task of its
        # group fails at the same moment.
        while not self._closed:
            began = self._clock()
            try:
                await self._listen()
            except* RefusedError as refused:
                self._refused(_first(refused))
                wait = _SECONDS_WHILE_REFUSED
            except* (MovedError, *_LOSSES) as lost:
                logger.debug("out of touch with changes in `%s`: %s", self._name, _first(lost))
                lasted = self._clock() - began > 2 * _SECONDS_TO_OPEN
                wait = _SHORTEST_WAIT if lasted else min(2 * wait, _LONGEST_WAIT)
            finally:
                self._listener.lost()
            if not self._closed:
                # Not all workers at the same moment.
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311

    async def _listen(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(_SECONDS_TO_OPEN):
                links = [
                    Link(
                        connection,
                        question=self._question,
                        on_keys=self._changed,
                        clock=self._clock,
                    )
                    for connection in await primaries(self._client)
                ]
                for link in links:
                    stack.push_async_callback(link.aclose)
                async with asyncio.TaskGroup() as tasks:
                    for link in links:
                        tasks.create_task(link.open(self._prefixes))
            self._listener.begun(min(link.answered_at for link in links))
            async with asyncio.TaskGroup() as tasks:
                for link in links:
                    tasks.create_task(self._read(link, links))
                tasks.create_task(self._ask(links))
                tasks.create_task(self._ask_sentinels(links))

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

    async def _ask_sentinels(self, links: list[Link]) -> None:
        """A primary that was cut off from its Sentinels does not know that it is none any more."""
        pool = getattr(self._client, "connection_pool", None)
        while isinstance(pool, SentinelConnectionPool):
            await asyncio.sleep(_SECONDS_BETWEEN_SENTINELS)
            with contextlib.suppress(*_LOSSES):
                if await pool.get_master_address() == links[0].address:  # type: ignore[no-untyped-call]
                    continue
                raise MovedError("the Sentinels name another primary")

    def _changed(self, keys: list[bytes] | None) -> None:
        if keys is None:
            self._listener.all_changed()
        else:
            self._listener.changed([key.decode("utf-8", "replace") for key in keys])

    def _refused(self, reason: BaseException) -> None:
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
