"""One worker of several: takes its sockets from the parent and answers what the parent asks. Ends
with the parent. Started as `python -m authz_sidecar.server.child`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvloop

from authz_sidecar import __version__
from authz_sidecar.app import build
from authz_sidecar.config.load import load
from authz_sidecar.errors import ConfigError
from authz_sidecar.observe.logging import configure
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.observe.report import to_json
from authz_sidecar.server.control import Line, LineLostError
from authz_sidecar.server.worker import Worker


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--check", type=_descriptors, required=True)
    parser.add_argument("--web", type=_descriptors, required=True)
    parser.add_argument("--log-format", choices=("json", "console"), required=True)
    parser.add_argument("--log-level", required=True)
    options = parser.parse_args(arguments)
    configure(form=options.log_format, level=options.log_level)
    metrics = Metrics(version=__version__)
    try:
        first = build(load(options.config, env=os.environ), metrics=metrics)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    worker = Worker(
        first=first,
        load=lambda old: build(load(options.config, env=os.environ), metrics=metrics, previous=old),
        sockets={
            name: tuple(socket.socket(fileno=each) for each in getattr(options, name))
            for name in ("check", "web")
        },
        metrics=metrics,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(worker, socket.socket(fileno=options.control)))
    return 0


def _descriptors(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


async def _run(worker: Worker, control: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    # Signals to the whole group, as from a terminal, are the parent's to pass on.
    for others in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        loop.add_signal_handler(others, lambda: None)
    line = await Line.over(control)
    started = asyncio.Event()
    worker.on_started = started.set
    answering = asyncio.create_task(_answer(worker, line, started))
    try:
        await worker.run()
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        line.close()


async def _answer(worker: Worker, line: Line, started: asyncio.Event) -> None:
    try:
        while True:
            question = (await line.receive()).get("ask")
            if question == "start":
                await started.wait()
                await line.send({})
            elif question == "reload":
                await line.send({"reloaded": await worker.reload()})
            elif question == "report":
                await line.send(await _report(worker))
            elif question == "stop":
                worker.stop()
                await line.send({})
    except LineLostError:
        worker.stop()


async def _report(worker: Worker) -> dict[str, Any]:
    return {
        "metrics": to_json(worker.metrics.report()),
        "missing": dict(await worker.application.missing()),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
