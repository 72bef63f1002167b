"""One worker: the listeners of a process, stopped in order, and the switch between configurations.

Signals and sockets come from outside, so that a worker is the same alone and in a pool. Must not
know how an application is built.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.core.gc_tuning import freeze_heap
from authz_sidecar.server.fastpath_protocol import FastPathProtocol
from authz_sidecar.server.hot_reload import ApplicationSwitch
from authz_sidecar.server.http_server import HttpServer, ListenerConfig
from authz_sidecar.server.limits import ListenerLimits
from authz_sidecar.server.protocol import HardenedHttpProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from authz_sidecar.app import Application
    from authz_sidecar.observe.metrics import Metrics

# Checks stop last: applications stay reachable while the sign-in pages drain.
STOPPING_ORDER = (("ops", "web"), ("check",))
MAX_CONNECTIONS = {"check": 4096, "web": 1024, "ops": 64}


@dataclass(slots=True, kw_only=True)
class Worker:
    """The listeners of one process.

    `first`: the application of the start.
    `ops`: the ASGI application of the operators' listener; None where the supervisor serves it.
    `max_connections`: by listener.
    `on_started`: called when every listener accepts connections.
    """

    first: Application
    sockets: Mapping[str, tuple[socket.socket, ...]]
    metrics: Metrics
    ops: Callable[..., Any] | None = None
    max_connections: Mapping[str, int] = field(default_factory=lambda: MAX_CONNECTIONS)
    on_started: Callable[[], None] = lambda: None
    applications: ApplicationSwitch = field(init=False)
    _servers: dict[str, HttpServer] = field(default_factory=dict)
    _tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.applications = ApplicationSwitch(self.first)

    @property
    def application(self) -> Application:
        """The application that serves new requests."""
        return self.applications.current.application

    @property
    def answering(self) -> bool:
        """Whether checks are accepted."""
        check = self._servers.get("check")
        return check is not None and check.started and not check.should_exit

    async def run(self) -> None:
        """Serve until `stop`, then finish open requests. Raises what ends a listener."""
        freeze_heap()
        await self.application.start()
        apps = {"check": self.applications.check, "web": self.applications.web, "ops": self.ops}
        tasks = {}
        for name, app in apps.items():
            if app is not None:
                self._servers[name] = self._listener_config(name, app).create_server()
                serve = self._servers[name].serve(sockets=list(self.sockets[name]))
                tasks[name] = self._tasks.start(serve, name=f"{name} listener")
        try:
            await self._wait_until_started(tasks)
            self.on_started()
            await self._until_stopped(tasks)
        finally:
            for names in STOPPING_ORDER:
                await self._stop_listeners([name for name in names if name in tasks], tasks)
            await self._tasks.aclose()
            await self.applications.aclose()

    def _listener_config(self, name: str, app: Callable[..., Any]) -> ListenerConfig:
        protocol: Callable[..., HardenedHttpProtocol] = HardenedHttpProtocol
        if name == "check":
            protocol = partial(
                FastPathProtocol,
                fast_path=lambda: self.application.fast_path,
                acquire_generation=self.applications.acquire_generation,
                background=self._tasks,
            )
        return ListenerConfig(
            app=app,
            limits=ListenerLimits(max_connections=self.max_connections[name]),
            on_refusal=lambda status: self.metrics.count_refused_connection(
                listener=name, status=status
            ),
            protocol=protocol,
        )

    async def _wait_until_started(self, tasks: Mapping[str, asyncio.Task[None]]) -> None:
        while not all(listener.started for listener in self._servers.values()):
            for task in tasks.values():
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def _until_stopped(self, tasks: Mapping[str, asyncio.Task[None]]) -> None:
        stop = self._tasks.start(self._stop.wait(), name="stop")
        done, _ = await asyncio.wait((stop, *tasks.values()), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a failed listener ends the process

    async def _stop_listeners(
        self, names: list[str], tasks: Mapping[str, asyncio.Task[None]]
    ) -> None:
        for name in names:
            self._servers[name].should_exit = True
        await asyncio.gather(*(tasks[name] for name in names), return_exceptions=True)

    def stop(self) -> None:
        """Make `run` finish open requests and return; a second call cuts them off."""
        if self._stop.is_set():
            for listener in self._servers.values():
                listener.force_exit = True
        self._stop.set()

    async def activate(self, application: Application) -> None:
        """Start `application`, and serve new requests by it.

        It may share parts with the current application. When it cannot be started, the current
        application stays and the error is raised.
        """
        try:
            await application.start()
        except BaseException:
            await application.aclose(successor=self.application)
            raise
        await self.applications.switch_to(application)
