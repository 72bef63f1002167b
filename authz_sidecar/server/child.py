"""One worker of several: takes sockets and configuration from the parent, answers what the parent
asks, and ends with it. Started as `python -m authz_sidecar.server.child`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from authz_sidecar import __version__
from authz_sidecar.app import build
from authz_sidecar.observe.logging import configure
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.observe.report import to_json
from authz_sidecar.server.compiled import new_event_loop
from authz_sidecar.server.control import Line, LineLostError
from authz_sidecar.server.worker import Worker

if TYPE_CHECKING:
    from authz_sidecar.app import Application
    from authz_sidecar.config.schema import Config


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--check", type=_sockets, required=True)
    parser.add_argument("--web", type=_sockets, required=True)
    parser.add_argument("--log-format", choices=("json", "console"), required=True)
    parser.add_argument("--log-level", required=True)
    options = parser.parse_args(arguments)
    configure(form=options.log_format, level=options.log_level)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(options))


def _sockets(text: str) -> tuple[socket.socket, ...]:
    return tuple(socket.socket(fileno=int(each)) for each in text.split(","))


async def _run(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    # Signals to the whole group, as from a terminal, are the parent's to pass on.
    for others in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        loop.add_signal_handler(others, lambda: None)
    line = await Line.over(socket.socket(fileno=options.control))
    try:
        await _serve(line, options)
    except LineLostError:
        pass
    finally:
        line.close()


async def _serve(line: Line, options: argparse.Namespace) -> None:
    metrics = Metrics(version=__version__)
    await line.receive()  # "start", the first question always
    config = await line.receive_config()

    def load(previous: Application | None) -> Application:
        # Whether it may be used as it is, the parent has judged.
        return build(config, metrics=metrics, lenient=True, previous=previous)

    async def reload(changed: Config) -> bool:
        nonlocal config
        config = changed
        return await worker.reload()

    worker = Worker(
        first=load(None),
        load=load,
        sockets={"check": options.check, "web": options.web},
        metrics=metrics,
    )
    started, dismissed = asyncio.Event(), asyncio.Event()
    worker.on_started = started.set
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    answering = asyncio.create_task(_answer(worker, line, started, dismissed, reload))
    try:
        await worker.run()
        if dismissed.is_set():
            # What was answered after the last report counts too.
            await line.send({"metrics": to_json(metrics.report())})
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def _answer(
    worker: Worker, line: Line, started: asyncio.Event, dismissed: asyncio.Event, reload: Any
) -> None:
    try:
        await started.wait()
        await line.send({})
        while True:
            question = await line.receive()
            match question["ask"]:
                case "reload":
                    changed = await line.receive_config()
                    await line.send({"reloaded": await reload(changed)})
                case "report":
                    await line.send(await _report(worker))
                case "denial":
                    denials = worker.application.denials
                    await line.send({"denial": denials.explain(question["about"])})
                case "stop":
                    await line.send({})
                    dismissed.set()
                    worker.stop()
                    return
                case _:
                    worker.stop()  # no parent of ours asks this
                    return
    except LineLostError:
        worker.stop()


async def _report(worker: Worker) -> dict[str, Any]:
    return {
        "metrics": to_json(worker.metrics.report()),
        "missing": await worker.application.missing(),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
