"""The `serve` command: load the configuration, bind the sockets, serve.

Decides what prevents a start, and maps signals to stop, reload and replacement of workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
from typing import TYPE_CHECKING

from uvicorn.loops.auto import auto_loop_factory

from authz_sidecar import __version__
from authz_sidecar.app import build_application
from authz_sidecar.config.load import examine_config
from authz_sidecar.config.value_parsers import UnixAddress
from authz_sidecar.errors import ConfigError
from authz_sidecar.observe.logging import configure, fields
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.routes_from_config import compile_routes
from authz_sidecar.server.listeners import bind, remove_socket_file
from authz_sidecar.server.signal_handlers import SignalHandlers
from authz_sidecar.server.single_worker import SingleWorker, WorkerOperations
from authz_sidecar.server.supervisor import Supervisor
from authz_sidecar.server.watchdog import Watchdog
from authz_sidecar.server.worker import Worker
from authz_sidecar.server.worker_pool import WorkerPool, WorkerSpec
from authz_sidecar.web.ops import build_ops_app

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from authz_sidecar.app import Application
    from authz_sidecar.config.schema import Config
    from authz_sidecar.observe.logging import LogFormat

    Sockets = Mapping[str, tuple[socket.socket, ...]]

logger = logging.getLogger(__name__)

_LISTENER_SETTINGS = {"check": "listen", "web": "web_listen", "ops": "ops_listen"}
_MAX_DESCRIPTORS = 65_536


def serve(
    config_path: Path,
    *,
    lenient: bool = False,
    log_format: LogFormat = "json",
    log_level: str = "INFO",
) -> int:
    """Serve until a signal stops the process; return the exit code.

    Broken routes prevent a start, unless `lenient`; at a reload only these routes are refused.

    Raises `ConfigError` for a configuration that cannot be used and `StartupError` for an address,
    store or secret that cannot, both before the first request is served.
    """
    configure(log_format=log_format, level=log_level)
    metrics = Metrics(version=__version__)

    def load(previous: Application | None, *, lenient: bool = True) -> Application:
        config = _load_config(config_path)
        application = build_application(config, metrics=metrics, lenient=lenient, previous=previous)
        _log_refused_routes(application)
        return application

    signals = SignalHandlers()
    with signals.defer_requests():
        first = load(None, lenient=lenient)
        with _bound_sockets(first.config) as sockets:
            _raise_descriptor_limit()
            if first.config.server.workers == 1:
                running = _serve_in_one_process(first, load, sockets, metrics, signals)
            else:
                spec = WorkerSpec(sockets=sockets, log_format=log_format, log_level=log_level)
                running = _serve_with_workers(first, load, spec, metrics, signals)
            with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
                runner.run(running)
        logger.info("stopped")
    return 0


def _load_config(path: Path) -> Config:
    examined = examine_config(path, env=os.environ)
    if examined.config is None:
        route_problems = compile_routes(examined.partial).problems if examined.partial else ()
        raise ConfigError(tuple(sorted({*examined.problems, *route_problems})))
    for warning in examined.warnings:
        logger.warning("%s", warning)
    return examined.config


@contextlib.contextmanager
def _bound_sockets(config: Config) -> Iterator[Sockets]:
    with contextlib.ExitStack() as stack:
        sockets = {}
        for name, setting in _LISTENER_SETTINGS.items():
            address = getattr(config.server, setting)
            sockets[name] = bind(f"server.{setting}", address)
            if isinstance(address, UnixAddress):
                stack.callback(remove_socket_file, address)
            for listener in sockets[name]:
                stack.callback(listener.close)
        yield sockets


async def _serve_in_one_process(
    first: Application,
    load: Callable[[Application | None], Application],
    sockets: Sockets,
    metrics: Metrics,
    signals: SignalHandlers,
) -> None:
    worker = Worker(first=first, sockets=sockets, metrics=metrics)
    single = SingleWorker(worker=worker, load=load)
    worker.ops = build_ops_app(WorkerOperations(single))
    worker.on_started = lambda: _log_started(first, sockets)
    with _watched():
        signals.install(
            asyncio.get_running_loop(),
            stop=worker.stop,
            reload=single.reloads.request,
            replace=_warn_nothing_to_replace,
        )
        await single.run()


def _warn_nothing_to_replace() -> None:
    logger.warning("nothing to replace, `server.workers` is 1; SIGHUP reloads the configuration")


async def _serve_with_workers(
    first: Application,
    load: Callable[[Application | None], Application],
    spec: WorkerSpec,
    metrics: Metrics,
    signals: SignalHandlers,
) -> None:
    config = first.config
    workers = WorkerPool(spec=spec, config=config, count=config.server.workers, metrics=metrics)
    supervisor = Supervisor(first=first, load=load, workers=workers, metrics=metrics)
    supervisor.on_started = lambda: _log_started(first, spec.sockets)
    with _watched():
        signals.install(
            asyncio.get_running_loop(),
            stop=supervisor.stop,
            reload=supervisor.reloads.request,
            replace=supervisor.replacements.request,
        )
        await supervisor.run(ops=spec.sockets["ops"])


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    watchdog = Watchdog(asyncio.get_running_loop())
    watchdog.start()
    try:
        yield
    finally:
        watchdog.close()


def _log_started(application: Application, sockets: Sockets) -> None:
    logger.info(
        "authz-sidecar %s listens",
        __version__,
        extra=fields(
            routes=application.route_count,
            **{
                name: ", ".join(map(_format_address, listeners))
                for name, listeners in sockets.items()
            },
        ),
    )


def _log_refused_routes(application: Application) -> None:
    for problem in application.problems:
        logger.error("%s", problem)
    if application.problems:
        logger.error(
            "served despite problems, broken routes refuse everything",
            extra=fields(routes_refused=", ".join(application.refused_routes)),
        )
    for problem in application.missing_callbacks.values():
        logger.error("%s", problem)
    if application.missing_callbacks:
        logger.error(
            "served despite problems, sign-in with these providers is refused",
            extra=fields(providers_refused=", ".join(application.missing_callbacks)),
        )


def _format_address(listener: socket.socket) -> str:
    name = listener.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _raise_descriptor_limit() -> None:
    """Raise the soft limit of file descriptors: each connection takes one, and 1024 is too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
