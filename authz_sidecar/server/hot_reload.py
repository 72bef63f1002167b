"""Switches between applications at a reload, without interrupting requests.

Decides which application serves a request: the one that was current when the request began. The old
application is closed when its last request has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.gc_tuning import freeze_heap

if TYPE_CHECKING:
    from authz_sidecar.app import Application

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

RELOADS_PER_HEAP_FREEZE = 20
"""A closed application is freed by reference counting. The garbage collector, whose full collection
pauses all requests, runs only once in so many reloads."""

RETIREMENT_SECONDS = 60.0
"""How long an old application may finish its requests before it is closed all the same."""


@dataclass(slots=True, kw_only=True)
class Generation:
    """One application, with the number of its open requests."""

    application: Application
    _open_requests: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def begin_request(self) -> None:
        """Count a request as open."""
        self._open_requests += 1
        self._idle.clear()

    def end_request(self) -> None:
        """Count an open request as ended."""
        self._open_requests -= 1
        if not self._open_requests:
            self._idle.set()

    async def wait_until_idle(self) -> None:
        """Return when no request is open."""
        if self._open_requests:
            await self._idle.wait()


class ApplicationSwitch:
    """The current application behind the listeners, and old ones that finish their requests."""

    def __init__(self, first: Application) -> None:
        self.current = Generation(application=first)
        self._tasks = BackgroundTasks()
        self._retired_count = 0

    def acquire_generation(self) -> Callable[[], None]:
        """Keep the current application open; return the function that releases it."""
        generation = self.current
        generation.begin_request()
        return generation.end_request

    async def check(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of the check listener (ASGI)."""
        generation = self.current
        generation.begin_request()
        try:
            await generation.application.check_app(scope, receive, send)
        finally:
            generation.end_request()

    async def web(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request of the web listener (ASGI)."""
        generation = self.current
        generation.begin_request()
        try:
            await generation.application.web_app(scope, receive, send)
        finally:
            generation.end_request()

    async def switch_to(self, application: Application) -> None:
        """Serve new requests by `application`, which must have been started."""
        old = self.current
        self.current = Generation(application=application)
        retiring = self._tasks.start(_retire(old, application), name="retiring configuration")
        retiring.add_done_callback(lambda _: self._count_retired())

    def _count_retired(self) -> None:
        self._retired_count += 1
        if self._retired_count % RELOADS_PER_HEAP_FREEZE == 0:
            freeze_heap()

    async def aclose(self) -> None:
        """Close every application. No request may be open any more."""
        await self._tasks.aclose()
        await self.current.application.aclose()


async def _retire(old: Generation, successor: Application) -> None:
    try:
        async with asyncio.timeout(RETIREMENT_SECONDS):
            await old.wait_until_idle()
    except TimeoutError:
        pass
    finally:
        await old.application.aclose(successor=successor)
