"""What is measured, part by part: each adds its runs and figures to the results of the one run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis import Redis

from benchmarks import load, near, revocation, services, session_seed
from benchmarks.comparison import Comparison, LoadTarget, compare
from benchmarks.machine import SERVICE_CORE, cpu_seconds, memory_mib
from benchmarks.peers import PEER_COOKIE, parse_peers, slug
from benchmarks.redis_memory import measure_redis_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.results import Results
    from benchmarks.services import Service
    from tests.servers.redis import RedisServer

SESSIONS = 100
FEW_SESSIONS, FEW_ROUTES = 1000, 10
DISTINCT_CHECKS = 6000
"""Different checks on the miss path, whatever the number of sessions."""
TINY_CACHE_ENTRIES = 64
SETTLE_SECONDS = 3.0
"""After which a worker has been in touch with its provider, and had what it needs for that imported."""
MICRO = Path(__file__).with_name("test_micro.py")


@dataclass(frozen=True, kw_only=True)
class BenchmarkSuite:
    directory: Path
    seconds: float
    rounds: int
    routes: int
    sessions: int
    results: Results

    def compare_services(self) -> None:
        """The four, and whoever else is there; then behind nginx and Envoy."""
        with services.redis() as redis, ExitStack() as stack:
            cookies = _create_cookies(redis, SESSIONS)
            best = stack.enter_context(services.return_204(self.directory))
            plain = stack.enter_context(services.plain_fastapi(self.directory))
            slow = stack.enter_context(self._sidecar(redis, "framework", fast_lane=False))
            lane = stack.enter_context(self._sidecar(redis, "lane"))
            ours = (best, plain, slow, lane)
            logs = stack.enter_context(
                self._sidecar(redis, "lane, a log line a check", log_level="info")
            )
            targets = [_load_target(each, cookies) for each in (*ours, logs)]
            found = parse_peers(os.environ)
            for peer in found:
                theirs = [os.environ[PEER_COOKIE]] if PEER_COOKIE in os.environ else cookies
                requests = load.check_requests(peer.path, theirs)
                targets.append(
                    LoadTarget(service=peer, port=peer.port, requests=requests, is_own=False)
                )
            comparison = self._compare("checks", targets)
            self.results.add_ratio("lane_vs_nginx_return_204", comparison, lane.name, best.name)
            self.results.add_ratio("lane_vs_plain_fastapi", comparison, lane.name, plain.name)
            self.results.add_ratio("framework_vs_plain_fastapi", comparison, slow.name, plain.name)
            self.results.add_ratio("lane_with_log_vs_lane", comparison, logs.name, lane.name)
            for peer in found:
                ratio = comparison.ratio(lane.name, peer.name)
                self.results.ratios[f"lane_vs_{slug(peer.name)}"] = ratio
            pages = load.page_requests(cookies)
            self._compare_behind_proxy("nginx", services.behind_nginx, ours, pages)
            self._compare_behind_proxy("envoy", services.behind_envoy, ours, pages)

    def _compare_behind_proxy(
        self,
        proxy: str,
        behind: Callable[[Path, Service], AbstractContextManager[int]],
        services: Sequence[Service],
        pages: list[str],
    ) -> None:
        with ExitStack() as stack:
            comparison = self._compare(
                f"through {proxy}",
                [
                    LoadTarget(
                        service=each,
                        port=stack.enter_context(behind(self.directory, each)),
                        requests=pages,
                    )
                    for each in services
                ],
            )
        best, *_, lane = (each.name for each in services)
        name = f"through_{proxy}"
        self.results.ratios[f"{name}_vs_return_204"] = comparison.ratio(lane, best)
        self.results.ratios[f"{name}_p99_vs_return_204"] = comparison.ratio(lane, best, "p99_ms")

    def measure_route_growth(self) -> None:
        with services.redis() as redis, ExitStack() as stack:
            cookies = _create_cookies(redis, SESSIONS)
            few, many = (
                stack.enter_context(self._sidecar(redis, f"{count:,} routes", route_count=count))
                for count in (FEW_ROUTES, self.routes)
            )
            comparison = self._compare(
                "routes", [_load_target(each, cookies) for each in (few, many)]
            )
            enough = self.routes >= 100_000
            self._record_growth("routes_100k_vs_10", comparison, many.name, few.name, enough=enough)
            self.results.memory["mib_with_all_routes"] = round(memory_mib(_pid(many)), 1)

    def measure_session_growth(self) -> None:
        """The miss path: hardly any session fits into memory, so all come from Redis."""
        with ExitStack() as stack:
            little, large = (stack.enter_context(services.redis()) for _ in range(2))
            few = _create_cookies(little, FEW_SESSIONS)
            many = _create_cookies(large, self.sessions)
            self.results.memory.update(measure_redis_memory(large, self.sessions))
            some = many[:: max(1, len(many) // DISTINCT_CHECKS)][:DISTINCT_CHECKS]
            less, more = (
                stack.enter_context(
                    self._sidecar(redis, f"{count:,} sessions", near_entries=TINY_CACHE_ENTRIES)
                )
                for redis, count in ((little, FEW_SESSIONS), (large, self.sessions))
            )
            comparison = self._compare(
                "misses",
                [
                    _distinct_load_target(less, few, per_cookie=DISTINCT_CHECKS // FEW_SESSIONS),
                    _distinct_load_target(more, some, per_cookie=1),
                ],
            )
            hits, lookups = _count_lookups(more)
            self.results.memory["share_from_memory_on_the_miss_path"] = round(hits / lookups, 4)
        enough = self.sessions >= 1_000_000
        self._record_growth("sessions_1m_vs_1k", comparison, more.name, less.name, enough=enough)
        self.results.ratios["miss_per_second"] = round(comparison.median(more.name, "per_second"))
        self.results.ratios["miss_per_cpu_second"] = round(
            comparison.median(more.name, "per_cpu_second")
        )

    def _record_growth(
        self, name: str, comparison: Comparison, numerator: str, denominator: str, *, enough: bool
    ) -> None:
        """Under the name of what is claimed only where there were as many as it is about."""
        if enough:
            self.results.add_ratio(name, comparison, numerator, denominator)
        else:
            self.results.ratios[name] = None
            self.results.add_ratio(
                f"{slug(numerator)}_vs_{slug(denominator)}", comparison, numerator, denominator
            )

    def measure_session_memory(self, count: int = 6000) -> None:
        """How a worker grows by sessions, after all that grows for other reasons has grown."""
        with services.redis() as redis, self._sidecar(redis, "memory") as service:
            pid = _pid(service)
            time.sleep(SETTLE_SECONDS)
            idle = memory_mib(pid)
            tokens = session_seed.seed_sessions(redis.url, count + 1)
            first, *others = map(_session_cookie, tokens)
            agents = (f"Agent/{number}" for number in range(count))
            self._load(
                service,
                [
                    load.single_check_request(service.path, first, user_agent=agent)
                    for agent in agents
                ],
            )
            warm, entries = memory_mib(pid), service.metric("authz_near_cache_entries")
            more, deadline = 0.0, time.monotonic() + 60
            while more < 0.98 * count and time.monotonic() < deadline:
                self._load(service, load.check_requests(service.path, others, paths_per_cookie=1))
                more = service.metric("authz_near_cache_entries") - entries
            grown = (memory_mib(pid) - warm) * 1024 / more
            self.results.memory |= {
                "idle_worker_mib": round(idle, 1),
                "busy_worker_mib": round(warm, 1),
                "kib_per_cached_session": round(grown, 2),
                "kib_per_cached_session_estimated": round(
                    service.metric("authz_near_cache_bytes") / (more + entries) / 1024, 2
                ),
                "kib_per_cached_session_alone": round(
                    near.measure_kib_isolated(redis.url, tokens), 2
                ),
                "cached_sessions": round(more),
            }

    def measure_revocations(self) -> None:
        """Two replicas of two workers each."""
        with services.redis() as redis, ExitStack() as stack:
            replicas = [
                stack.enter_context(self._sidecar(redis, f"replica {number}", workers=2))
                for number in (1, 2)
            ]
            took = asyncio.run(revocation.measure_milliseconds(redis.url, replicas, count=300))
            self.results.ratios["revocation_p50_ms"] = round(took[len(took) // 2], 2)
            self.results.ratios["revocation_p99_ms"] = round(took[int(len(took) * 0.99)], 2)

    def measure_invalidations(self, changes: int = 5000) -> None:
        """What it costs a worker, and the line to it, to hear of each change in the store."""
        with services.redis() as redis, self._sidecar(redis, "news") as service:
            with Redis.from_url(redis.url) as client:
                while service.metric("authz_near_cache_coherent") < 1:
                    time.sleep(0.05)
                sent, used = _bytes_sent(redis), cpu_seconds(_pid(service))
                for number in range(changes):  # one by one, as they come
                    client.set(f"az:s:{{{number:022d}}}", b"1", px=60_000)
            time.sleep(0.5)
            used = cpu_seconds(_pid(service)) - used
            invalidation_bytes = _bytes_sent(redis) - sent - len(b"+OK\r\n") * changes
            self.results.news = {
                "bytes_per_change": round(invalidation_bytes / changes, 1),
                "cpu_us_per_change": round(used / changes * 1e6, 2),
            }

    def measure_policies(self) -> None:
        """In a process of its own: it holds hundreds of thousands of routes."""
        command = ["taskset", "-c", str(SERVICE_CORE), sys.executable, "-m", "benchmarks.policy"]
        command += ["--json", "--routes", str(self.routes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"benchmarks.policy: {done.stderr[-2000:]}")
        self.results.policy = json.loads(done.stdout)

    def measure_steps(self) -> None:
        """What the steps of a check cost: the best round of each, since others may be busy too."""
        found = self.directory / "micro.json"
        command = ["taskset", "-c", str(SERVICE_CORE), sys.executable, "-m", "pytest"]
        command += ["-p", "benchmark", "-p", "no:xdist", "-p", "no:cacheprovider", "-q"]
        command += [f"--benchmark-json={found}", "--benchmark-min-time=0.001", "--benchmark-quiet"]
        done = subprocess.run(
            [*command, str(MICRO)],
            capture_output=True,
            text=True,
            check=False,
            cwd=MICRO.parents[1],
        )
        if done.returncode:
            raise RuntimeError(f"{MICRO.name}: {done.stdout[-2000:]}")
        for each in json.loads(found.read_text())["benchmarks"]:
            name = each["name"].removeprefix("test_").replace("_", " ")
            self.results.micro[name] = round(each["stats"]["min"] * 1e6, 2)

    def _load(self, service: Service, requests: list[str]) -> None:
        """Every request about twice: once where it has to be looked up, once where it is known."""
        seconds = max(2.0, len(requests) / 4000)
        load.run_wrk(self.directory, service.port, requests, seconds=seconds)

    def _compare(self, name: str, targets: Sequence[LoadTarget]) -> Comparison:
        comparison = compare(
            name, targets, directory=self.directory, seconds=self.seconds, rounds=self.rounds
        )
        self.results.add_runs(comparison)
        return comparison

    @contextmanager
    def _sidecar(self, redis: RedisServer, name: str, **options: Any) -> Iterator[Service]:
        with services.sidecar(self.directory, redis.url, name=name, **options) as service:
            yield service


def _load_target(service: Service, cookies: Sequence[str], *, per_cookie: int = 6) -> LoadTarget:
    requests = load.check_requests(service.path, cookies, paths_per_cookie=per_cookie)
    return LoadTarget(service=service, port=service.port, requests=requests)


def _distinct_load_target(
    service: Service, cookies: Sequence[str], *, per_cookie: int
) -> LoadTarget:
    requests = load.distinct_check_requests(service.path, cookies, per_cookie=per_cookie)
    return LoadTarget(service=service, port=service.port, requests=requests)


def _create_cookies(redis: RedisServer, count: int) -> list[str]:
    return [_session_cookie(token) for token in session_seed.seed_sessions(redis.url, count)]


def _session_cookie(token: str) -> str:
    return f"__Host-authz={token}"


def _count_lookups(service: Service) -> tuple[float, float]:
    """From memory, and all."""
    name = "authz_near_cache_lookups_total"
    return service.metric(f'{name}{{from="memory"}}'), service.metric(name)


def _bytes_sent(redis: RedisServer) -> int:
    return int(redis.command("INFO", "stats")["total_net_output_bytes"])


def _pid(service: Service) -> int:
    if service.pid is None:
        raise ValueError(f"`{service.name}` is not ours")
    return service.pid
