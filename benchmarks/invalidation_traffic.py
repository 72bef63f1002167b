"""What it costs Redis and its clients to tell of changes: the default mode of client tracking and the
broadcast mode, each to a RESP3 connection of its own. Measured on a Redis on loopback with some
thousands of sessions, then worked out for a million.

    python -m benchmarks.invalidation_traffic [--sessions 20000] [--workers 2] [--json]

In every mode `workers` hold all sessions, and then happens what happens in a while: sessions are
used (last use is written), some end, some are refreshed, new ones are born.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from redis import Redis

from tests.servers.redis import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

# A day of work: how often in an hour each session is touched, refreshed, born and ended.
LIFETIME_HOURS, TOUCHES, REFRESHES = 14.0, 10.0, 1.0
KEYS_PER_SESSION = (
    5  # its record, its end, its parent's end, its user's and provider session's marks
)
MODES = ("broadcast", "default, pushed", "default, redirected", "default, redirected, full table")
TABLE_LIMIT = 1_000_000  # `tracking-table-max-keys` unless it is configured


@dataclass(frozen=True)
class TrafficMeasurement:
    """Of `sessions` held by each worker, while each was touched and a share of them changed."""

    mode: str
    table_keys: int
    table_bytes_per_key: float
    messages: int
    bytes: int
    unprompted: int
    """Messages to a worker before anything had changed: Redis makes room in its table."""


class TrackingConnection:
    """A bare connection: exactly what crosses the wire is counted."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.settimeout(0.5)
        self.command("HELLO", "3")
        self.id = int(self.command("CLIENT", "ID")[1:])

    def command(self, *arguments: str) -> bytes:
        parts = [f"${len(word)}\r\n{word}\r\n" for word in arguments]
        self._socket.sendall(f"*{len(arguments)}\r\n{''.join(parts)}".encode())
        return self._socket.recv(65536)

    def command_discarding_reply(self, *arguments: str, keys: list[str]) -> None:
        """Large answers are read and thrown away."""
        everything = [*arguments, *keys]
        parts = [f"${len(word)}\r\n{word}\r\n" for word in everything]
        self._socket.sendall(f"*{len(everything)}\r\n{''.join(parts)}".encode())
        self.drain()

    def drain(self) -> bytes:
        received = []
        while True:
            try:
                received.append(self._socket.recv(1 << 20))
            except TimeoutError:
                return b"".join(received)


def key_names(kind: str, numbers: range) -> list[str]:
    return [f"az:{kind}:{{{number:022d}}}" for number in numbers]


def lookup_batches(count: int) -> Iterator[list[str]]:
    """The keys of some sessions at a time, those that exist and those that do not."""
    for begin in range(0, count, 500):
        these = range(begin, min(begin + 500, count))
        yield [
            *key_names("s", these),
            *(
                key
                for n in range(1, KEYS_PER_SESSION)
                for key in key_names("r", range(n * 10**9 + begin, n * 10**9 + these.stop))
            ),
        ]


def apply_changes(client: Redis, count: int) -> None:
    """Every session touched; one in a hundred each ended, refreshed and born."""
    pipe = client.pipeline(transaction=False)
    for key in key_names("l", range(count)):
        pipe.set(key, b"1800000000000", xx=True, px=3_600_000)
    pipe.execute()
    some = random.Random(1).sample(range(count), count // 50)
    for number in some[::2]:
        client.set(f"az:r:{{{number:022d}}}", b"1", px=60_000)
        client.delete(f"az:s:{{{number:022d}}}")
    for number in some[1::2]:
        client.set(f"az:s:{{{number:022d}}}", b"x" * 500, px=60_000)
    for number in range(count, count + count // 100):
        client.set(f"az:s:{{{number:022d}}}", b"x" * 500, px=60_000)


def measure(mode: str, port: int, *, count: int, workers: int) -> TrafficMeasurement:
    with Redis(port=port) as client:
        client.flushall()
        pipe = client.pipeline(transaction=False)
        for kind, value in (("s", b"x" * 500), ("l", b"1")):
            for key in key_names(kind, range(count)):
                pipe.set(key, value, px=3_600_000)
        pipe.execute()
        before = _memory(client)
        listeners, readers = [], []
        for _ in range(workers):
            listener = TrackingConnection(port)
            reader = listener
            if mode == "broadcast":
                listener.command(
                    "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "az:s:", "PREFIX", "az:r:"
                )
            elif mode.startswith("default, redirected"):
                reader = TrackingConnection(port)
                reader.command("CLIENT", "TRACKING", "ON", "REDIRECT", str(listener.id))
            else:
                listener.command("CLIENT", "TRACKING", "ON")
            listeners.append(listener)
            readers.append(reader)
            for keys in lookup_batches(count):
                reader.command_discarding_reply("MGET", keys=keys)
        info: Any = client.info()
        tracked = int(info.get("tracking_total_keys", 0))
        grown = _memory(client) - before
        unprompted = sum(listener.drain().count(b"invalidate") for listener in listeners)
        apply_changes(client, count)
        time.sleep(0.5)
        pushed = [listener.drain() for listener in listeners]
        return TrafficMeasurement(
            mode=mode,
            table_keys=tracked,
            table_bytes_per_key=grown / tracked if tracked else 0.0,
            messages=sum(each.count(b"invalidate") for each in pushed) // workers,
            bytes=sum(map(len, pushed)) // workers,
            unprompted=unprompted // workers,
        )


def _memory(client: Redis) -> int:
    info: Any = client.info("memory")
    return int(info["used_memory"]) - int(info["mem_clients_normal"])


def extrapolate(
    measured: TrafficMeasurement, *, count: int, sessions: int, workers: int, cached_share: float
) -> dict[str, float]:
    """For so many active sessions, of which each worker holds a share."""
    changes = 1 / LIFETIME_HOURS * 2 + REFRESHES  # born or ended, or refreshed, in an hour
    per_change = measured.bytes / (count / 100 * 3)
    changes_per_second = sessions * changes / 3600
    if measured.mode != "broadcast":
        changes_per_second *= cached_share
    wanted = sessions * KEYS_PER_SESSION
    return {
        "bytes_per_second_and_worker": round(changes_per_second * per_change),
        "bytes_per_second_of_redis": round(changes_per_second * per_change * workers),
        "table_keys_wanted": 0 if measured.mode == "broadcast" else wanted,
        "table_mebibytes": round(
            0 if measured.mode == "broadcast" else wanted * measured.table_bytes_per_key / 2**20
        ),
        "sessions_that_fit_the_default_table": 0
        if measured.mode == "broadcast"
        else TABLE_LIMIT // KEYS_PER_SESSION,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    binary = shutil.which("redis-server")
    if binary is None:
        sys.exit("redis-server is not installed")
    results = []
    with ExitStack() as stack:
        for mode in MODES:
            # A table that is too small for the sessions, as the usual one is for a million.
            full = ("--tracking-table-max-keys", str(options.sessions)) if "full" in mode else ()
            server = stack.enter_context(running_redis(binary, *full))
            measured = measure(mode, server.port, count=options.sessions, workers=options.workers)
            million = extrapolate(
                measured, count=options.sessions, sessions=1_000_000, workers=16, cached_share=0.5
            )
            results.append({"measured": asdict(measured), "million_sessions_16_workers": million})
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        for part, values in result.items():
            print(part, *(f"{name}={value}" for name, value in values.items()), sep="\n    ")


if __name__ == "__main__":
    main()
