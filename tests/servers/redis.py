"""Real Redis servers for tests: alone (`redis_server`, one for a test process), with a password,
or as many as a test starts. A pytest plugin, named by the root conftest.

    def test_something(redis_server: RedisServer) -> None:
        store = open_store(redis_server.url)    # or .unix_url
        redis_server.command("KEYS", "*")
        redis_server.pause()                    # it hangs; .resume(), .stop() and .start() as well

Without `redis-server` on the machine these tests are skipped; with `CI=true` they fail instead.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.servers.sidecar import free_ports

START_SECONDS = 20.0


class RedisServer:
    """One `redis-server`; a port and a Unix socket of its own, nothing on disk that outlives it."""

    def __init__(self, binary: str, *arguments: str, password: str | None = None) -> None:
        # A directory of its own with a short name: a socket's path has 107 bytes.
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self._binary = binary
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.password = password
        self.port = 0

    @property
    def directory(self) -> Path:
        return Path(self._directory.name)

    @property
    def socket_path(self) -> str:
        return str(self.directory / "redis.sock")

    @property
    def url(self) -> str:
        return f"redis://{self._login}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self._login}{self.socket_path}"

    @property
    def _login(self) -> str:
        return f":{quote(self.password, safe='')}@" if self.password else ""

    def start(self) -> None:
        """Start, on the same port as before if there was one, and wait until it answers."""
        for attempts_left in (2, 1, 0):
            port = self.port or free_ports(1)[0]
            self._process = subprocess.Popen(
                [self._binary, *self._arguments, *self._settings(port)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.directory,
            )
            if self._answers(port):
                self.port = port
                return
            self.stop()
            assert attempts_left, f"redis-server did not start:\n{self.log()}"

    def stop(self) -> None:
        """Gone at once, with all that was in it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It still accepts connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.stop()
        self._directory.cleanup()

    def command(self, *arguments: str | float | bytes) -> Any:
        """The reply to one command, with bytes for strings."""
        with Redis(unix_socket_path=self.socket_path, password=self.password) as client:
            return client.execute_command(*arguments)

    def all_keys(self) -> list[str]:
        """All keys; sorted."""
        return sorted(key.decode() for key in self.command("KEYS", "*"))

    def flush(self) -> None:
        self.command("FLUSHALL")

    def log(self) -> str:
        path = self.directory / "redis.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _settings(self, port: int) -> Iterator[str]:
        settings = {
            "port": port,
            "bind": "127.0.0.1",
            "unixsocket": self.socket_path,
            "dir": self.directory,
            "logfile": self.directory / "redis.log",
            "daemonize": "no",
            "appendonly": "no",
            "save": "",
        }
        if self.password is not None:
            settings["requirepass"] = self.password
        for name, value in settings.items():
            yield from (f"--{name}", str(value))

    def _answers(self, port: int) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            with (
                contextlib.suppress(RedisError),
                Redis(host="127.0.0.1", port=port, password=self.password) as client,
            ):
                return bool(client.ping())
            time.sleep(0.02)
        return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not running"
        self._process.send_signal(number)


RedisStarter = Callable[..., RedisServer]


@pytest.fixture(scope="session")
def redis_binary() -> str:
    binary = shutil.which("redis-server")
    if binary is None:
        missing = "redis-server is not installed, nothing that needs a real Redis was tested"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return binary


@pytest.fixture(scope="session")
def redis_server(redis_binary: str) -> Iterator[RedisServer]:
    """One server for all tests of this process. Whoever stops or pauses it starts it again."""
    with running_redis(redis_binary) as server:
        yield server


@pytest.fixture(scope="session")
def redis_with_password(redis_binary: str) -> Iterator[RedisServer]:
    with running_redis(redis_binary, password="p@ss:w/rd%") as server:
        yield server


@pytest.fixture
def start_redis(redis_binary: str) -> Iterator[RedisStarter]:
    """Starts any number of servers for one test; all are gone when it ends."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, password: str | None = None) -> RedisServer:
            return stack.enter_context(running_redis(redis_binary, *arguments, password=password))

        yield start


@contextlib.contextmanager
def running_redis(
    binary: str, *arguments: str, password: str | None = None
) -> Iterator[RedisServer]:
    server = RedisServer(binary, *arguments, password=password)
    try:
        server.start()
        yield server
    finally:
        server.close()
