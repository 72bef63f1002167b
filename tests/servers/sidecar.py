"""A real sidecar in a process of its own, started as an operator starts it.

    from tests.servers.sidecar import start_sidecar     # in the conftest.py of your tests

    def test_something(start_sidecar: SidecarStarter) -> None:
        sidecar = start_sidecar({"routes": [...], "identity_providers": {...}})
        sidecar.check.host, sidecar.check.port      # also .web, .ops
        sidecar.log()                               # everything it has written so far

Listeners (free loopback ports), a secret key and the in-memory store are filled in where the
configuration leaves them out. `with running_sidecar(config, directory) as sidecar:` does the same
without pytest, and `start_module_sidecar` is the fixture for all tests of one module.
"""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 15.0
SECRET_KEY = "bm90LWEtcmVhbC1zZWNyZXQtYnV0LWxvbmctZW5vdWdo"

Config = Mapping[str, Any]


class Listener(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """One running sidecar. `config` is what was written to `config_path`, fillings included."""

    process: subprocess.Popen[bytes]
    config: dict[str, Any]
    config_path: Path
    log_path: Path
    check: Listener
    web: Listener
    ops: Listener

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get_ops(self, path: str, *, timeout: float = 5.0) -> tuple[int, bytes]:
        """Status and body of `path` on the operators' listener."""
        connection = http.client.HTTPConnection(*self.ops, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def wait_until(self, holds: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
        """Wait for `holds()`; fails with the log when it does not come, or the process is gone."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SidecarError(f"exited with {self.process.returncode}", self.log())
            with contextlib.suppress(OSError, http.client.HTTPException):
                if holds():
                    return
            time.sleep(0.03)
        raise SidecarError(f"not as expected within {seconds:.0f} seconds", self.log())

    def wait_for(self, path: str, *, status: int = 200, seconds: float = START_SECONDS) -> None:
        """Wait until `path` of the operators' listener answers `status`."""
        self.wait_until(lambda: self.get_ops(path)[0] == status, seconds=seconds)

    def write_config(self, config: Config) -> None:
        """Replace the configuration file, listeners and all fillings kept; nothing is signalled."""
        _write(self.config_path, _filled(config, like=self.config))

    def stop(self) -> int:
        """SIGTERM, then SIGKILL to the whole group; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait(STOP_SECONDS)


class SidecarError(AssertionError):
    """The sidecar did not do what was waited for; carries its log."""

    def __init__(self, what: str, log: str) -> None:
        super().__init__(f"the sidecar {what}; its log:\n{log}")
        self.log = log


class SidecarStarter(Protocol):
    def __call__(
        self,
        config: Config,
        *,
        wait_for: str = "/readyz",
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> Sidecar: ...


@pytest.fixture
def start_sidecar(tmp_path: Path) -> Iterator[SidecarStarter]:
    """Starts any number of sidecars for one test; all are gone when it ends."""
    yield from _starter(tmp_path)


@pytest.fixture(scope="module")
def start_module_sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SidecarStarter]:
    """The same, for sidecars that all tests of a module share."""
    yield from _starter(tmp_path_factory.mktemp("sidecar"))


def _starter(directory: Path) -> Iterator[SidecarStarter]:
    with contextlib.ExitStack() as stack:
        count = 0

        def start(
            config: Config,
            *,
            wait_for: str = "/readyz",
            env: Mapping[str, str] | None = None,
            arguments: Sequence[str] = (),
        ) -> Sidecar:
            nonlocal count
            count += 1
            place = directory / f"sidecar-{count}"
            place.mkdir()
            running = running_sidecar(
                config, place, wait_for=wait_for, env=env, arguments=arguments
            )
            return stack.enter_context(running)

        yield start


@contextlib.contextmanager
def running_sidecar(
    config: Config,
    directory: Path,
    *,
    wait_for: str = "/readyz",
    env: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> Iterator[Sidecar]:
    """A sidecar that answers 200 at `wait_for` (`/healthz` where its provider or store is down)."""
    sidecar = _start(config, directory, wait_for=wait_for, env=env, arguments=arguments)
    try:
        yield sidecar
    finally:
        sidecar.stop()


def _start(
    config: Config,
    directory: Path,
    *,
    wait_for: str,
    env: Mapping[str, str] | None,
    arguments: Sequence[str],
) -> Sidecar:
    # A free port may be taken by somebody else before the sidecar binds it: then try again.
    for attempts_left in (2, 1, 0):
        sidecar = _spawn(config, directory, env=env, arguments=arguments)
        try:
            sidecar.wait_for(wait_for)
        except BaseException as failure:
            sidecar.stop()
            if attempts_left and isinstance(failure, SidecarError) and "in use" in failure.log:
                continue
            raise
        return sidecar
    raise AssertionError("unreachable")


def _spawn(
    config: Config,
    directory: Path,
    *,
    env: Mapping[str, str] | None,
    arguments: Sequence[str],
) -> Sidecar:
    filled = _filled(config)
    config_path = directory / "authz-sidecar.yaml"
    _write(config_path, filled)
    log_path = directory / "sidecar.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "authz_sidecar", "serve"),
                *("--config", str(config_path), *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    server = filled["server"]
    return Sidecar(
        process=process,
        config=filled,
        config_path=config_path,
        log_path=log_path,
        check=_listener(server["listen"]),
        web=_listener(server["web_listen"]),
        ops=_listener(server["ops_listen"]),
    )


def _listener(text: str) -> Listener:
    """Unix sockets have no port: their path stands as the host, with port 0."""
    if text.startswith("unix:"):
        return Listener(text.removeprefix("unix:"), 0)
    host, _, port = text.rpartition(":")
    return Listener(host.strip("[]"), int(port))


def _filled(config: Config, *, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
    filled: dict[str, Any] = copy.deepcopy(dict(config))
    server = filled.setdefault("server", {})
    names = ("listen", "web_listen", "ops_listen")
    given = like["server"] if like else dict(zip(names, map(_local, free_ports(3)), strict=True))
    for name in names:
        server.setdefault(name, given[name])
    filled.setdefault("secret_keys", [SECRET_KEY])
    filled.setdefault("sessions", {}).setdefault("store", "memory://")
    return filled


def _local(port: int) -> str:
    return f"127.0.0.1:{port}"


_LISTENING_PORTS = (16_384, 32_768)
_random = random.SystemRandom()  # the tests of properties give the other one the same seed


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of 127.0.0.1 that are not in use at this moment; all different. Below the range that
    systems take the ports of outgoing connections from (32768 at Linux, 49152 by RFC 6335), so that
    none of those takes one before its server does."""
    ports: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(ports) < count:
            port = _random.randrange(*_LISTENING_PORTS)
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
    return tuple(ports)


def _write(path: Path, config: Config) -> None:
    # JSON is YAML; written beside and renamed, so that nobody ever reads half a file.
    new = path.with_suffix(".new")
    new.write_text(json.dumps(config, indent=2))
    new.rename(path)
