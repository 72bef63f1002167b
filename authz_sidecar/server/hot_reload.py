"""Which configuration answers. A reload swaps the application between two requests: each request
is answered by the one it began with, and the old one is closed when its last request has ended."""

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

RELOADS_BETWEEN_LOOKS = 20
"""What is replaced is freed by counting. The collector, in whose full look nothing is answered, is for
what little is left."""

RETIREMENT_SECONDS = 60.0
"""How long an old application may finish its requests before it is closed regardless."""


@dataclass(slots=True, kw_only=True)
class Generation:
    application: Application
    _open_requests: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def begin_request(self) -> None:
        self._open_requests += 1
        self._idle.clear()

    def end_request(self) -> None:
        self._open_requests -= 1
        if not self._open_requests:
            self._idle.set()

    async def wait_until_idle(self) -> None:
        if self._open_requests:
            await self._idle.wait()


class ApplicationSwitch:
    """The applications behind the listeners: one that answers, and old ones on their way out."""

    def __init__(self, first: Application) -> None:
        self.current = Generation(application=first)
        self._tasks = BackgroundTasks()
        self._on_retired = 0

    def acquire_generation(self) -> Callable[[], None]:
        """Keep the application that answers now until what this gives is called."""
        generation = self.current
        generation.begin_request()
        return generation.end_request

    async def check(self, scope: Scope, receive: Receive, send: Send) -> None:
        generation = self.current
        generation.begin_request()
        try:
            await generation.application.check_app(scope, receive, send)
        finally:
            generation.end_request()

    async def web(self, scope: Scope, receive: Receive, send: Send) -> None:
        generation = self.current
        generation.begin_request()
        try:
            await generation.application.web_app(scope, receive, send)
        finally:
            generation.end_request()

    async def switch_to(self, application: Application) -> None:
        """`application` answers from now on. It must have been started."""
        old = self.current
        self.current = Generation(application=application)
        retiring = self._tasks.start(_retire(old, application), name="retiring configuration")
        retiring.add_done_callback(lambda _: self._look())

    def _look(self) -> None:
        self._on_retired += 1
        if self._on_retired % RELOADS_BETWEEN_LOOKS == 0:
            freeze_heap()

    async def aclose(self) -> None:
        """Close everything; no request may be running any more."""
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
