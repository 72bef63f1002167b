"""PHP and uWSGI, which answer with what they were given."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.sidecar import Listener, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SCRIPT = HERE / "echo.php"
START_SECONDS = 20.0


def php_binary() -> str | None:
    return shutil.which("php-cgi")


def uwsgi_binary() -> str | None:
    """Of the package pyuwsgi, beside the interpreter that runs the tests."""
    return shutil.which("pyuwsgi", path=str(Path(sys.executable).parent))


@contextlib.contextmanager
def running_php(binary: str, log: Path) -> Iterator[Listener]:
    """PHP's own FastCGI server; nginx names `SCRIPT` as what it runs."""
    [port] = free_ports(1)
    address = Listener("127.0.0.1", port)
    with _running((binary, "-n", "-b", str(address)), log, address):
        yield address


@contextlib.contextmanager
def running_uwsgi(binary: str, log: Path) -> Iterator[dict[str, Listener]]:
    """One WSGI application behind a socket for each of FastCGI, SCGI and uwsgi."""
    names = ("fastcgi", "scgi", "uwsgi")
    sockets = {
        name: Listener("127.0.0.1", port) for name, port in zip(names, free_ports(3), strict=True)
    }
    command = [binary, "--master", "--die-on-term", "--need-app", "--buffer-size", "65535"]
    command += ["--wsgi-file", str(HERE / "echo.py")]
    for name, address in sockets.items():
        command += [f"--{name}-socket", str(address)]
    with _running(tuple(command), log, *sockets.values()):
        yield sockets


@contextlib.contextmanager
def _running(command: tuple[str, ...], log: Path, *addresses: Listener) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        for address in addresses:
            while not _listens(address):
                assert process.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < deadline, log.read_text(errors="replace")
                time.sleep(0.02)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _listens(address: Listener) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False
