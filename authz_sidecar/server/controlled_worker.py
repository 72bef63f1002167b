"""A worker that is told by a parent what to do: takes sockets and configurations from it, answers
what it asks, says again and again that it is alive, and ends with it."""

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
    """Return when the parent has said so, or is gone."""
    configure(log_format=log_format, level=log_level)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_run(control, sockets))


async def _run(control: socket.socket, sockets: Mapping[str, tuple[socket.socket, ...]]) -> None:
    line = await ControlChannel.from_socket(control)
    try:
        await ControlledWorker(line, sockets=sockets).run()
    except ChannelClosedError:
        pass
    finally:
        line.close()


class ControlledWorker:
    """Serves when it is told to, by the configuration that it was given last."""

    def __init__(
        self, line: ControlChannel, *, sockets: Mapping[str, tuple[socket.socket, ...]]
    ) -> None:
        self._line = line
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
                # What was answered to the very last counts too.
                await self._line.respond(self._stopping, {"metrics": self._metrics_snapshot()})
        finally:
            await self._tasks.aclose()

    async def _send_heartbeats(self) -> None:
        with contextlib.suppress(ChannelClosedError):
            while True:
                await self._line.send_heartbeat({"generation": self._generation})
                await asyncio.sleep(BEAT_SECONDS)

    async def _listen(self) -> None:
        try:
            while True:
                question = await self._line.receive_command()
                self._tasks.start(
                    self._handle_command(question),
                    name=f"answer to `{question.name}`",
                    expected=(ChannelClosedError,),
                )
        except ChannelClosedError:
            pass
        finally:
            # Without a parent, or a channel to it, nobody could tell this worker anything.
            self._stop()

    async def _handle_command(self, question: Command) -> None:
        try:
            match question.name:
                case "load":
                    answer = await self._load(question)
                case "serve":
                    answer = await self._serve()
                case "report":
                    answer = await self._report()
                case "denial":
                    answer = {"denial": self._denial(question.argument)}
                case "stop":
                    self._stopping = question
                    self._stop()
                    return
                case _:
                    answer = {"failed": "no such question"}
        except Exception as error:
            logger.exception("a worker could not do what it was told: %s", question.name)
            answer = {"failed": str(error) or type(error).__name__}
        await self._line.respond(question, answer)

    async def _load(self, question: Command) -> dict[str, Any]:
        async with self._loading:
            if question.argument > self._generation:
                present = self._worker.application if self._worker else None
                application = await in_slices(self._build_application, question.config, present)
                if self._worker is None:
                    self._first = application
                else:
                    await self._worker.take(application)
                self._generation = question.argument
        return {"generation": self._generation}

    def _build_application(self, config: bytes, present: Application | None) -> Application:
        # It comes from our parent alone, who has judged whether it may be used as it is.
        return build_application(
            loads(config), metrics=self._metrics, lenient=True, previous=present
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
        """Once: the parent, a signal to all processes and the end of the channel may all say so, and
        a worker that is told twice finishes nothing."""
        if self._ending:
            return
        self._ending = True
        if self._worker is not None:
            self._worker.stop()
        else:
            self._first = None
            self._serve_requested.set()
