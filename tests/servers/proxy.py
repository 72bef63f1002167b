"""A real proxy, started with the very files of `deploy/`.

Only what `deploy/README.md` lists is replaced: addresses, ports, certificate paths and the name of
the sign-in host. A text that is to be replaced and does not occur is an error, so that the files
and the table cannot drift apart.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.servers.sidecar import Listener, free_ports
from tests.servers.wire import Message, Reader, connect, request_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.certificate import Certificate

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
START_SECONDS = 30.0

APP_HOST = "app.example.com"
GROUP_HOST = "admin.apps.example.com"
PUBLIC_HOST = "docs.apps.example.com"
OPEN_HOST = "open.example.com"
"""The host that the proxy does not ask about."""
AUTH_HOST = "auth.example.net"
"""Of another apex domain than the others, so that every hand-over crosses it."""
CERTIFICATE_NAMES = (APP_HOST, "*.apps.example.com", OPEN_HOST, AUTH_HOST)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where everything is in this run; `http` and `https` are the proxy's ports on 127.0.0.1."""

    directory: Path
    certificate: Certificate
    check: Listener
    web: Listener
    app: Listener
    http: int
    https: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a question tells the sidecar about the original request."""

    method: str
    scheme: str | None
    host: str | None
    target: str


class Proxy(Protocol):
    """One kind of proxy."""

    @property
    def name(self) -> str: ...

    @property
    def outage_status(self) -> int:
        """What a client sees when the sidecar cannot be reached."""

    def binary(self) -> str | None:
        """The program; None where this machine has none."""

    def prepare(self, places: Places, binary: str) -> tuple[str, ...]:
        """Write the configuration into `places.directory`; the command that runs it."""

    def facts(self, asked: Message) -> Facts: ...


@dataclass(frozen=True, kw_only=True)
class RunningProxy:
    proxy: Proxy
    places: Places
    process: subprocess.Popen[bytes]
    log_path: Path

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@contextlib.contextmanager
def running_proxy(
    proxy: Proxy,
    binary: str,
    directory: Path,
    *,
    certificate: Certificate,
    check: Listener,
    web: Listener,
    app: Listener,
) -> Iterator[RunningProxy]:
    for attempt in range(3):
        place = directory / f"{proxy.name}-{attempt}"
        place.mkdir(parents=True)
        http, https = free_ports(2)
        places = Places(
            directory=place,
            certificate=certificate,
            check=check,
            web=web,
            app=app,
            http=http,
            https=https,
        )
        running = _start(proxy, binary, places)
        try:
            # Somebody else may have taken a port in the meantime: then try again.
            if _comes_up(running) or attempt == 2:
                assert running.process.poll() is None, running.log()
                yield running
                return
        finally:
            running.stop()


def _start(proxy: Proxy, binary: str, places: Places) -> RunningProxy:
    command = proxy.prepare(places, binary)
    log_path = places.directory / "proxy.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=places.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "XDG_DATA_HOME": str(places.directory),
                "XDG_CONFIG_HOME": str(places.directory),
            },
            start_new_session=True,
        )
    return RunningProxy(proxy=proxy, places=places, process=process, log_path=log_path)


def _comes_up(running: RunningProxy) -> bool:
    # An open port is not enough: Traefik listens before it has read its routes.
    probe = request_bytes("GET", "/", [("Host", OPEN_HOST), ("Connection", "close")])
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.process.poll() is None:
        with (
            contextlib.suppress(OSError, EOFError),
            contextlib.closing(
                connect(running.places.https, server_name=OPEN_HOST, timeout=5)
            ) as connection,
        ):
            connection.sendall(probe)
            answer = Reader(connection).answer()
            if answer is not None and answer.status == 200:
                return True
        time.sleep(0.05)
    return False


def forwarded_facts(asked: Message) -> Facts:
    """As all but Envoy tell them; a header that came twice fails the test that looks."""
    return Facts(
        method=asked.one("x-forwarded-method") or "",
        scheme=asked.one("x-forwarded-proto"),
        host=asked.one("x-forwarded-host"),
        target=asked.one("x-forwarded-uri") or "",
    )


def deployed(file: str, table: Mapping[str, str]) -> str:
    """The text of a file below `deploy/` with every key of the table replaced."""
    text = (DEPLOY / file).read_text()
    for old, new in table.items():
        assert old in text, f"`{old}` does not occur in deploy/{file}"
        text = text.replace(old, new)
    return text
