"""Redis servers that belong together: a primary and its replica with a Sentinel that watches them
(`redis_sentinel`), and a cluster of three (`redis_cluster`). A pytest plugin beside `redis`.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.servers.redis import RedisServer, running_redis
from tests.servers.sidecar import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVICE = "sessions"
SLOTS = 16384
SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class SentinelGroup:
    url: str
    primary: RedisServer
    replica: RedisServer
    port: int

    def sentinel(self, *arguments: str) -> Any:
        """The reply of the Sentinel to one of its commands."""
        with Redis(host="127.0.0.1", port=self.port) as client:
            return client.execute_command("SENTINEL", *arguments)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    url: str
    nodes: tuple[RedisServer, ...]

    def flush(self) -> None:
        for node in self.nodes:
            node.flush()


@pytest.fixture(scope="session")
def redis_sentinel(redis_binary: str) -> Iterator[SentinelGroup]:
    with running_sentinel(redis_binary) as group:
        yield group


@contextlib.contextmanager
def running_sentinel(redis_binary: str) -> Iterator[SentinelGroup]:
    """A group of a test's own, which may stop the primary."""
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(
            running_redis(redis_binary, "--repl-diskless-sync-delay", "0")
        )
        replica = stack.enter_context(
            running_redis(redis_binary, "--replicaof", "127.0.0.1", str(primary.port))
        )
        port = stack.enter_context(_sentinel(redis_binary, primary))
        _wait_until(lambda: replica.command("INFO", "replication")["master_link_status"] == "up")
        with Redis(host="127.0.0.1", port=port) as sentinel:
            _wait_until(lambda: len(sentinel.execute_command("SENTINEL REPLICAS", SERVICE)) == 1)
        dead = free_ports(1)[0]
        yield SentinelGroup(
            url=f"redis+sentinel://127.0.0.1:{dead},127.0.0.1:{port}/{SERVICE}/0",
            primary=primary,
            replica=replica,
            port=port,
        )


@contextlib.contextmanager
def _sentinel(binary: str, primary: RedisServer) -> Iterator[int]:
    port = free_ports(1)[0]
    config = primary.directory / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {primary.directory}\n"
        f"logfile {primary.directory}/sentinel.log\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} 500\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    process = subprocess.Popen(
        [binary, str(config), "--sentinel"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        _wait_until(lambda: _pong(port))
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def redis_cluster(redis_binary: str) -> Iterator[Cluster]:
    with running_cluster(redis_binary) as cluster:
        yield cluster


@contextlib.contextmanager
def running_cluster(redis_binary: str) -> Iterator[Cluster]:
    """A cluster of a test's own, which may stop or add nodes."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(_cluster_node(redis_binary)) for _ in range(3)]
        first = nodes[0][0]
        share = SLOTS // 3
        for number, (node, bus) in enumerate(nodes):
            last = SLOTS - 1 if number == 2 else (number + 1) * share - 1
            node.command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
            if node is not first:
                first.command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        servers = tuple(node for node, _ in nodes)
        _wait_until(lambda: all(_complete(node, nodes=3) for node in servers))
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in servers[:2])
        yield Cluster(url=f"redis+cluster://{hosts}", nodes=servers)


@contextlib.contextmanager
def joining(cluster: Cluster, redis_binary: str) -> Iterator[RedisServer]:
    """One more primary, without slots."""
    with _cluster_node(redis_binary) as (node, bus):
        cluster.nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        _wait_until(lambda: all(_complete(each, nodes=4) for each in (*cluster.nodes, node)))
        yield node


def follow(new: RedisServer, primary: RedisServer) -> None:
    """`new` becomes a replica that could take over."""
    new.command("CLUSTER", "REPLICATE", primary.command("CLUSTER", "MYID"))
    deadline = time.monotonic() + 20
    while new.command("INFO", "replication")["master_link_status"] != "up":
        assert time.monotonic() < deadline, "it does not follow"
        time.sleep(0.05)


def has_replica(primary: RedisServer) -> bool:
    """Whether one follows it, and has all that is not new."""
    replica = primary.command("INFO", "replication").get("slave0")
    return replica is not None and replica["state"] == "online"


@contextlib.contextmanager
def _cluster_node(binary: str) -> Iterator[tuple[RedisServer, int]]:
    bus = free_ports(1)[0]
    enabled = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
    with running_redis(binary, *enabled) as node:
        yield node, bus


def _complete(node: RedisServer, *, nodes: int) -> bool:
    info: bytes = node.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:%d" % nodes in info


def _pong(port: int) -> bool:
    with Redis(host="127.0.0.1", port=port) as client:
        return bool(client.ping())


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisError):
            if holds():
                return
        time.sleep(0.05)
    raise AssertionError("the servers did not come together")
