"""A worker process that is controlled by the supervisor over a control channel.

Receives configurations and commands, sends heartbeats, and ends when the channel is lost. Must not
decide whether a configuration is usable: the supervisor has decided that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any

from uvicorn.loops.auto import auto_loop_factory

from authz_sidecar import __version__
from authz_sidecar.app import build_application
from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.config.transfer import loads
from authz_sidecar.observe.logging import configure
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.observe.snapshot import to_json
from authz_sidecar.server.control_channel import ChannelClosedError, ControlChannel
from authz_sidecar.server.low_priority_thread import in_slices
from authz_sidecar.server.worker import Worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from authz_sidecar.app import Application
    from authz_sidecar.observe.logging import LogFormat
    from authz_sidecar.server.control_channel import Command

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0


def run(
    *,
    control: socket.socket,
    sockets: Mapping[str, tuple[socket.socket, ...]],
    log_format: LogFormat,
    log_level: str,
) -> None:
    """Run a controlled worker until the supervisor stops it or the channel is lost."""
    configure(log_format=log_format, level=log_level)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_run(control, sockets))


async def _run(control: socket.socket, sockets: Mapping[str, tuple[socket.socket, ...]]) -> None:
    channel = await ControlChannel.from_socket(control)
    try:
        await ControlledWorker(channel, sockets=sockets).run()
    except ChannelClosedError:
        pass
    finally:
        channel.close()


class ControlledWorker:
    """A worker that serves on command, with the configuration that it loaded last."""

    def __init__(
        self, channel: ControlChannel, *, sockets: Mapping[str, tuple[socket.socket, ...]]
    ) -> None:
        self._channel = channel
        self._sockets = sockets
        self._metrics = Metrics(version=__version__)
        self._tasks = BackgroundTasks()
        self._loading = asyncio.Lock()
        self._generation = 0
        self._first: Application | None = None
        self._worker: Worker | None = None
        self._serve_requested = asyncio.Event()
        self._started = asyncio.Event()
        self._stopping: Command | None = None
        self._ending = False

    async def run(self) -> None:
        """Handle commands and serve requests until the worker is stopped or the channel is lost.

        Raises `ChannelClosedError` when the last metrics cannot be sent.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        self._tasks.supervise(self._send_heartbeats, name="heartbeat")
        self._tasks.start(self._listen(), name="control channel")
        try:
            await self._serve_requested.wait()
            if self._first is not None:
                self._worker = Worker(
                    first=self._first,
                    sockets=self._sockets,
                    metrics=self._metrics,
                    on_started=self._started.set,
                )
                self._first = None
                await self._worker.run()
            if self._stopping is not None:
                # The metrics of the last requests are part of the total.
                await self._channel.respond(self._stopping, {"metrics": self._metrics_snapshot()})
        finally:
            await self._tasks.aclose()

    async def _send_heartbeats(self) -> None:
        with contextlib.suppress(ChannelClosedError):
            while True:
                await self._channel.send_heartbeat({"generation": self._generation})
                await asyncio.sleep(BEAT_SECONDS)

    async def _listen(self) -> None:
        try:
            while True:
                command = await self._channel.receive_command()
                self._tasks.start(
                    self._handle_command(command),
                    name=f"answer to `{command.name}`",
                    expected=(ChannelClosedError,),
                )
        except ChannelClosedError:
            pass
        finally:
            # Without the channel this worker could not be reloaded or stopped.
            self._stop()

    async def _handle_command(self, command: Command) -> None:
        try:
            match command.name:
                case "load":
                    response = await self._load(command)
                case "serve":
                    response = await self._serve()
                case "report":
                    response = await self._report()
                case "denial":
                    response = {"denial": self._denial(command.argument)}
                case "stop":
                    self._stopping = command
                    self._stop()
                    return
                case _:
                    response = {"failed": "unknown command"}
        except Exception as error:
            logger.exception("a worker could not do what it was told: %s", command.name)
            response = {"failed": str(error) or type(error).__name__}
        await self._channel.respond(command, response)

    async def _load(self, command: Command) -> dict[str, Any]:
        async with self._loading:
            if command.argument > self._generation:
                current = self._worker.application if self._worker else None
                application = await in_slices(self._build_application, command.config, current)
                if self._worker is None:
                    self._first = application
                else:
                    await self._worker.activate(application)
                self._generation = command.argument
        return {"generation": self._generation}

    def _build_application(self, config: bytes, current: Application | None) -> Application:
        # The supervisor has checked the configuration and whether it may be used with its problems.
        return build_application(
            loads(config), metrics=self._metrics, lenient=True, previous=current
        )

    async def _serve(self) -> dict[str, Any]:
        async with self._loading:
            self._serve_requested.set()
            await self._started.wait()
        return {}

    async def _report(self) -> dict[str, Any]:
        missing = await self._worker.application.missing() if self._worker else {}
        return {"metrics": self._metrics_snapshot(), "missing": missing}

    def _denial(self, request_id: str) -> Mapping[str, Any] | None:
        return self._worker.application.denials.explain(request_id) if self._worker else None

    def _metrics_snapshot(self) -> list[Any]:
        return to_json(self._metrics.snapshot())

    def _stop(self) -> None:
        """Stop the worker, once.

        The supervisor, a signal to the process group and the end of the channel may all call this;
        a second stop of the worker would cut off open requests.
        """
        if self._ending:
            return
        self._ending = True
        if self._worker is not None:
            self._worker.stop()
        else:
            self._first = None
            self._serve_requested.set()
