"""Several workers over one Redis, as one server: nobody outside notices how many there are, nor that
they are replaced."""

from __future__ import annotations

import contextlib
import signal
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.cli import main as run_cli
from authz_sidecar.sessions.cache.batching import MAX_CONCURRENT_READS
from tests.server.test_dependencies import APP, check, config, provider, sign_in
from tests.server.test_main import is_alive, metric, workers_of
from tests.servers.wire import Reader, request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.providers import RunningProvider
    from tests.servers.redis import RedisServer, RedisStarter
    from tests.servers.sidecar import Sidecar, SidecarStarter

__all__ = ["provider"]

WORKERS = 2
ALLOWED = 'authz_checks_total{adapter="traefik",decision="allow",status="200"}'


@pytest.fixture
def several(
    start_sidecar: SidecarStarter, provider: RunningProvider, redis_server: RedisServer
) -> Callable[..., Sidecar]:
    def start(**server: Any) -> Sidecar:
        settings = config(provider.issuer, store=redis_server.url)
        settings["server"] |= {"workers": WORKERS, **server}
        return start_sidecar(settings)

    return start


def question(cookie: str, *lines: tuple[str, str], path: str = "/") -> bytes:
    facts = [
        ("Host", "127.0.0.1"),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", APP),
        ("X-Forwarded-Uri", path),
        ("X-Forwarded-For", "203.0.113.9"),
    ]
    return request_bytes("GET", "/auth/traefik", [*facts, ("Cookie", cookie), *lines])


def replace_all(sidecar: Sidecar) -> None:
    before = sidecar.log().count("all workers replaced")
    sidecar.process.send_signal(signal.SIGUSR2)
    sidecar.wait_until(lambda: sidecar.log().count("all workers replaced") > before, seconds=60)


class Client(threading.Thread):
    """As a proxy under load: one connection, kept as long as the other side says, and questions
    without a pause. `failed` is what was not answered by 200."""

    def __init__(self, connect: Callable[[], socket.socket], cookie: str) -> None:
        super().__init__()
        self._connect = connect
        self._question = question(cookie)
        self.ending = threading.Event()
        self.answered = self.connections = 0
        self.failed: list[object] = []

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                self._keep_asking()
            except (OSError, EOFError) as error:
                self.failed.append(error)

    def _keep_asking(self) -> None:
        with contextlib.closing(self._connect()) as connection:
            connection.settimeout(30)
            self.connections += 1
            reader = Reader(connection)
            while not self.ending.is_set():
                connection.sendall(self._question)
                answer = reader.answer()
                if answer is None or answer.status != 200:
                    self.failed.append(answer)
                    return
                self.answered += 1
                if answer.one("connection") == "close":
                    return
                time.sleep(0.002)


@contextlib.contextmanager
def under_load(
    connect: Callable[[], socket.socket], cookie: str, *, clients: int = 4
) -> Iterator[list[Client]]:
    running = [Client(connect, cookie) for _ in range(clients)]
    for client in running:
        client.start()
    try:
        yield running
    finally:
        for client in running:
            client.ending.set()
        for client in running:
            client.join(60)


def test_a_rolling_restart_under_load_loses_no_question(
    several: Callable[..., Sidecar], provider: RunningProvider
) -> None:
    sidecar = several()
    cookie = sign_in(sidecar, provider)
    before = workers_of(sidecar)
    with under_load(lambda: socket.create_connection(sidecar.check, timeout=30), cookie) as clients:
        replace_all(sidecar)
    assert [client.failed for client in clients] == [[]] * len(clients)
    assert all(client.answered > 10 for client in clients)
    assert any(client.connections > 1 for client in clients), "nobody was asked to come again"
    assert not any(map(is_alive, before.values()))
    assert "Traceback" not in sidecar.log()
    # Those of workers that are gone are counted too, the lane's as everybody's.
    assert metric(sidecar, ALLOWED) == sum(client.answered for client in clients)


def test_what_every_worker_counts_adds_up(
    several: Callable[..., Sidecar], provider: RunningProvider
) -> None:
    sidecar = several()
    cookie = sign_in(sidecar, provider)
    for _ in range(60):
        assert check(sidecar, APP, cookie=cookie)[0] == 200
    assert metric(sidecar, ALLOWED) == 60
    hits = metric(sidecar, 'authz_near_cache_lookups_total{from="memory"}')
    misses = metric(sidecar, 'authz_near_cache_lookups_total{from="store"}')
    assert hits + misses >= 60
    assert 1 <= metric(sidecar, "authz_near_cache_entries") <= WORKERS
    replace_all(sidecar)
    assert metric(sidecar, ALLOWED) == 60
    assert metric(sidecar, 'authz_near_cache_lookups_total{from="memory"}') >= hits


def test_a_session_revoked_on_one_worker_is_refused_by_all(
    several: Callable[..., Sidecar], provider: RunningProvider
) -> None:
    sidecar = several()
    cookie = sign_in(sidecar, provider)
    for _ in range(30):
        assert check(sidecar, APP, cookie=cookie)[0] == 200
    # By yet another process.
    assert (
        run_cli(["sessions", "revoke", "--config", str(sidecar.config_path), "--user", "alice"])
        == 0
    )
    sidecar.wait_until(lambda: check(sidecar, APP, cookie=cookie)[0] == 302)
    # Each new connection is another worker's, as it comes.
    assert {check(sidecar, APP, cookie=cookie)[0] for _ in range(60)} == {302}


def test_unix_sockets_are_shared_and_outlive_the_workers(
    several: Callable[..., Sidecar], provider: RunningProvider, tmp_path: Path
) -> None:
    # The address of a Unix socket holds a hundred bytes.
    place = Path("/tmp") / f"authz-{tmp_path.name[-24:]}-{id(tmp_path)}.sock"
    sidecar = several(listen=f"unix:{place}")

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(str(place))
        return connection

    assert stat.S_ISSOCK(place.lstat().st_mode)
    begin = f"https://{APP}/.auth/start?rd=https%3A%2F%2F{APP}%2F"
    cookie = sign_in(sidecar, provider, begin=begin)
    before = workers_of(sidecar)
    with under_load(connect, cookie) as clients:
        replace_all(sidecar)
    assert [client.failed for client in clients] == [[]] * len(clients)
    assert not set(before.values()) & set(workers_of(sidecar).values())
    assert stat.S_ISSOCK(place.lstat().st_mode), "a worker took the socket with it"
    assert metric(sidecar, ALLOWED) == sum(client.answered for client in clients)
    assert sidecar.stop() == 0
    assert not place.exists()


def test_a_start_under_load_is_no_stampede_on_redis(
    start_sidecar: SidecarStarter, provider: RunningProvider, start_redis: RedisStarter
) -> None:
    """Everybody asks about sessions that nobody has in memory, as soon as workers answer."""
    redis = start_redis()
    settings = config(provider.issuer, store=redis.url)
    settings["server"]["workers"] = WORKERS
    sidecar = start_sidecar(settings)

    def crowd(number: int) -> set[int]:
        statuses = set()
        with socket.create_connection(sidecar.check, timeout=30) as connection:
            reader = Reader(connection)
            for each in range(20):
                unknown = f"{number:021}{each:021}A"
                connection.sendall(question(f"__Host-authz={unknown}"))
                answer = reader.answer()
                assert answer is not None
                statuses.add(answer.status)
        return statuses

    with ThreadPoolExecutor(60) as pool:
        assert set.union(*pool.map(crowd, range(60))) == {401}
    clients = redis.command("INFO", "stats")["total_connections_received"]
    # Reads, and beside them one that listens, one that asks whether the store is ready, ours.
    assert clients <= WORKERS * (MAX_CONCURRENT_READS + 4) + 10
