"""`make bench`: every claim about speed and size, measured in one run, side by side.

Each service has one core; the load, and a proxy where there is one, has the other. Rounds are
interleaved and the median is taken, so that a machine that is busy for a while is so for everybody.
Ratios are the result; on a machine with other work, those per second of the service's processor
time say more than those per second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import load, revocation, stand
from benchmarks.stand import Service
from tests.servers.redis import running_redis

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.redis import RedisServer

RESULTS = Path(__file__).parent / "results" / "latest.json"
SESSIONS = 100
PEERS = "AUTHZ_BENCH_PEER"


class Bench:
    def __init__(self, directory: Path, redis: RedisServer, *, seconds: float, rounds: int) -> None:
        self.directory = directory
        self.redis = redis
        self.seconds = seconds
        self.rounds = rounds
        self.runs: list[dict[str, Any]] = []
        self.ratios: dict[str, float | None] = {}

    def compare(
        self, what: str, ports: dict[str, tuple[int, Service, list[str]]]
    ) -> dict[str, dict[str, float]]:
        """Each name in turn, round after round; the medians."""
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ports}
        for name, (port, _, requests) in ports.items():
            load.wrk(self.directory, port, requests, seconds=max(2, self.seconds / 2))
            print(f"  {what}: {name} is warm", flush=True)
        for _ in range(self.rounds):
            for name, (port, service, requests) in ports.items():
                before = stand.cpu_seconds(service.pid) if service.pid else 0.0
                got = load.wrk(self.directory, port, requests, seconds=self.seconds)
                used = (stand.cpu_seconds(service.pid) if service.pid else 0.0) - before
                if got.errors:
                    raise RuntimeError(f"{what}: {name} refused {got.errors} requests")
                found[name].append(
                    {
                        "per_second": got.per_second,
                        "per_cpu_second": got.per_second * self.seconds / used if used else 0.0,
                        "p50_ms": got.p50_ms,
                        "p99_ms": got.p99_ms,
                    }
                )
        medians = {}
        for name, several in found.items():
            medians[name] = {
                key: round(statistics.median(each[key] for each in several), 3)
                for key in several[0]
            }
            self.runs.append({"what": what, "service": name, **medians[name]})
            print(f"  {what}: {name}: {medians[name]}", flush=True)
        return medians

    def ratio(self, name: str, over: dict[str, float], under: dict[str, float]) -> None:
        self.ratios[name] = round(over["per_second"] / under["per_second"], 3)
        if over["per_cpu_second"] and under["per_cpu_second"]:
            per_cpu = round(over["per_cpu_second"] / under["per_cpu_second"], 3)
            self.ratios[f"{name}_per_cpu_second"] = per_cpu

    # What is measured

    def services(self) -> None:
        cookies = asyncio.run(stand.sign_in(self.redis.url, SESSIONS))
        with ExitStack() as stack:
            plain = stack.enter_context(stand.plain_fastapi(self.directory))
            slow = stack.enter_context(self.sidecar("framework", fast_lane=False))
            lane = stack.enter_context(self.sidecar("lane"))
            best = stack.enter_context(stand.return_204(self.directory))
            self.runs.append({"what": "memory", "idle_worker_mib": stand.memory_mib(lane.pid)})
            all_of = (best, plain, slow, lane)
            ports = {
                each.name: (each.port, each, load.checks(each.path, cookies)) for each in all_of
            }
            for name, port, path in peers():
                peer = Service(name=name, port=port, path=path, pid=0)
                ports[name] = (port, peer, load.checks(path, cookies))
            got = self.compare("checks", ports)
            self.ratio("lane_vs_nginx_return_204", got[lane.name], got[best.name])
            self.ratio("lane_vs_plain_fastapi", got[lane.name], got[plain.name])
            self.ratio("framework_vs_plain_fastapi", got[slow.name], got[plain.name])
            for proxy, behind in (("nginx", stand.behind_nginx), ("Envoy", stand.behind_envoy)):
                self.through(proxy, behind, all_of, cookies)

    def through(
        self, proxy: str, behind: Callable[..., Any], services: tuple[Service, ...], cookies: Any
    ) -> None:
        pages = load.pages(cookies)
        with ExitStack() as stack:
            fronts = {
                each.name: (
                    stack.enter_context(behind(self.directory, each)),
                    each,
                    pages,
                )
                for each in services
            }
            got = self.compare(f"through {proxy}", fronts)
            best, lane = got[services[0].name], got["lane"]
            key = f"through_{proxy.lower()}"
            self.ratio(f"{key}_vs_return_204", lane, best)
            self.ratios[f"{key}_p99_vs_return_204"] = round(lane["p99_ms"] / best["p99_ms"], 3)

    def growth_of_routes(self, most: int) -> None:
        cookies = asyncio.run(stand.sign_in(self.redis.url, SESSIONS))
        with ExitStack() as stack:
            few = stack.enter_context(self.sidecar("10 routes", route_count=10))
            many = stack.enter_context(self.sidecar(f"{most} routes", route_count=most))
            got = self.compare(
                "routes",
                {s.name: (s.port, s, load.checks(s.path, cookies)) for s in (few, many)},
            )
            self.ratio("routes_100k_vs_10", got[many.name], got[few.name])

    def growth_of_sessions(self, most: int) -> None:
        """The miss path: hardly any session fits into memory."""
        self.redis.flush()
        few = asyncio.run(stand.sign_in(self.redis.url, 1000))
        one = self.redis_bytes()
        with self.sidecar("1,000 sessions", near_entries=64) as service:
            requests = load.checks(service.path, few[:1000])
            less = self.compare("misses", {service.name: (service.port, service, requests)})
        more = asyncio.run(stand.sign_in(self.redis.url, most))
        each = (self.redis_bytes() - one) / most
        self.runs.append({"what": "memory", "redis_bytes_per_session": round(each)})
        with self.sidecar(f"{most + 1000:,} sessions", near_entries=64) as service:
            requests = load.checks(service.path, more[:: max(1, most // 1000)][:1000])
            lots = self.compare("misses", {service.name: (service.port, service, requests)})
        (one_less,), (one_lot,) = less.values(), lots.values()
        if most >= 900_000:
            self.ratio("sessions_1m_vs_1k", one_lot, one_less)
        else:
            self.ratios["sessions_1m_vs_1k"] = None
            self.ratio(f"sessions_{most}_vs_1k", one_lot, one_less)
        self.ratios["miss_per_second"] = one_lot["per_second"]
        self.ratios["miss_per_cpu_second"] = one_lot["per_cpu_second"]

    def memory_of_sessions(self, count: int) -> None:
        cookies = asyncio.run(stand.sign_in(self.redis.url, count))
        with self.sidecar("memory") as service:
            before = stand.memory_mib(service.pid)
            for cookie in (cookies[at : at + 500] for at in range(0, count, 500)):
                requests = load.checks(service.path, cookie)[::6]
                load.wrk(self.directory, service.port, requests, seconds=2)
            grown = (stand.memory_mib(service.pid) - before) * 1024 / count
            self.runs.append({"what": "memory", "kib_per_cached_session": round(grown, 2)})
            print(f"  memory: {grown:.2f} KiB for each session in memory", flush=True)

    def revocations(self) -> None:
        with self.sidecar("revocation") as service:
            p99 = asyncio.run(revocation.p99_ms(self.redis.url, service.port, count=300))
            self.ratios["revocation_p99_ms"] = round(p99, 2)
            print(f"  revocation: p99 {p99:.2f} ms", flush=True)

    def sidecar(self, name: str, **options: Any) -> Any:
        return stand.sidecar(self.directory, self.redis.url, name=name, **options)

    def redis_bytes(self) -> int:
        info: dict[str, Any] = self.redis.command("INFO", "memory")
        return int(info["used_memory"])


def peers() -> list[tuple[str, int, str]]:
    """`name=http://127.0.0.1:4180/oauth2/auth`, separated by spaces."""
    found = []
    for text in os.environ.get(PEERS, "").split():
        match = re.fullmatch(r"([^=]+)=http://(?:127\.0\.0\.1|localhost):(\d+)(/\S*)?", text)
        if match is None:
            raise SystemExit(f"{PEERS}: `{text}` is not `name=http://127.0.0.1:PORT/PATH`")
        found.append((match[1], int(match[2]), match[3] or "/"))
    return found


def machine() -> dict[str, Any]:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(stand.CORES),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    packages = ("authz-sidecar", "uvicorn", "uvloop", "httptools", "fastapi", "redis")
    nginx = subprocess.run(
        [shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx", "-v"],
        capture_output=True,
        text=True,
        check=False,
    ).stderr.strip()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "nginx": nginx.rpartition("/")[2],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument(
        "--only", nargs="*", choices=("services", "routes", "sessions", "memory", "revocation")
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    started: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(),
        "at": time.strftime("%Y-%m-%d"),
    }
    binary = shutil.which("redis-server") or "redis-server"
    with tempfile.TemporaryDirectory() as place, running_redis(binary) as redis:
        bench = Bench(Path(place), redis, seconds=options.seconds, rounds=options.rounds)
        parts: dict[str, Callable[[], None]] = {
            "services": bench.services,
            "revocation": bench.revocations,
            "routes": lambda: bench.growth_of_routes(options.routes),
            "memory": lambda: bench.memory_of_sessions(3000),
            "sessions": lambda: bench.growth_of_sessions(options.sessions),
        }
        for name, part in parts.items():
            if options.only is None or name in options.only:
                print(name, flush=True)
                part()
    started["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    options.output.parent.mkdir(exist_ok=True)
    document = {**started, "runs": bench.runs, "ratios": bench.ratios}
    options.output.write_text(json.dumps(document, indent=2) + "\n")
    for name, value in bench.ratios.items():
        print(f"{name:50} {value}")


if __name__ == "__main__":
    main()
