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
from benchmarks.comparison import Asked, Compared, compare
from benchmarks.machine import SERVICE_CORE, cpu_seconds, memory_mib
from benchmarks.peers import PEER_COOKIE, peers, slug
from benchmarks.redis_memory import redis_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.results import Results
    from benchmarks.services import Service
    from tests.servers.redis import RedisServer

SESSIONS = 100
FEW_SESSIONS, FEW_ROUTES = 1000, 10
ASKED_ABOUT = 6000
"""Different checks on the miss path, whatever the number of sessions."""
TOO_SMALL = 64
SETTLED_SECONDS = 3.0
"""After which a worker has been in touch with its provider, and had what it needs for that imported."""
MICRO = Path(__file__).with_name("test_micro.py")


@dataclass(frozen=True, kw_only=True)
class Parts:
    directory: Path
    seconds: float
    rounds: int
    routes: int
    sessions: int
    results: Results

    def services(self) -> None:
        """The four, and whoever else is there; then behind nginx and Envoy."""
        with services.redis() as redis, ExitStack() as stack:
            cookies = _cookies(redis, SESSIONS)
            best = stack.enter_context(services.return_204(self.directory))
            plain = stack.enter_context(services.plain_fastapi(self.directory))
            slow = stack.enter_context(self._sidecar(redis, "framework", fast_lane=False))
            lane = stack.enter_context(self._sidecar(redis, "lane"))
            ours = (best, plain, slow, lane)
            logs = stack.enter_context(
                self._sidecar(redis, "lane, a log line a check", log_level="info")
            )
            asked = [_asked(each, cookies) for each in (*ours, logs)]
            found = peers(os.environ)
            for peer in found:
                theirs = [os.environ[PEER_COOKIE]] if PEER_COOKIE in os.environ else cookies
                requests = load.checks(peer.path, theirs)
                asked.append(Asked(service=peer, port=peer.port, requests=requests, ours=False))
            got = self._compare("checks", asked)
            self.results.ratio("lane_vs_nginx_return_204", got, lane.name, best.name)
            self.results.ratio("lane_vs_plain_fastapi", got, lane.name, plain.name)
            self.results.ratio("framework_vs_plain_fastapi", got, slow.name, plain.name)
            self.results.ratio("lane_with_log_vs_lane", got, logs.name, lane.name)
            for peer in found:
                ratio = got.ratio(lane.name, peer.name)
                self.results.ratios[f"lane_vs_{slug(peer.name)}"] = ratio
            pages = load.pages(cookies)
            self._through("nginx", services.behind_nginx, ours, pages)
            self._through("envoy", services.behind_envoy, ours, pages)

    def _through(
        self,
        proxy: str,
        behind: Callable[[Path, Service], AbstractContextManager[int]],
        services: Sequence[Service],
        pages: list[str],
    ) -> None:
        with ExitStack() as stack:
            got = self._compare(
                f"through {proxy}",
                [
                    Asked(
                        service=each,
                        port=stack.enter_context(behind(self.directory, each)),
                        requests=pages,
                    )
                    for each in services
                ],
            )
        best, *_, lane = (each.name for each in services)
        name = f"through_{proxy}"
        self.results.ratios[f"{name}_vs_return_204"] = got.ratio(lane, best)
        self.results.ratios[f"{name}_p99_vs_return_204"] = got.ratio(lane, best, "p99_ms")

    def growth_of_routes(self) -> None:
        with services.redis() as redis, ExitStack() as stack:
            cookies = _cookies(redis, SESSIONS)
            few, many = (
                stack.enter_context(self._sidecar(redis, f"{count:,} routes", route_count=count))
                for count in (FEW_ROUTES, self.routes)
            )
            got = self._compare("routes", [_asked(each, cookies) for each in (few, many)])
            enough = self.routes >= 100_000
            self._growth("routes_100k_vs_10", got, many.name, few.name, enough=enough)
            self.results.memory["mib_with_all_routes"] = round(memory_mib(_pid(many)), 1)

    def growth_of_sessions(self) -> None:
        """The miss path: hardly any session fits into memory, so all come from Redis."""
        with ExitStack() as stack:
            little, large = (stack.enter_context(services.redis()) for _ in range(2))
            few = _cookies(little, FEW_SESSIONS)
            many = _cookies(large, self.sessions)
            self.results.memory.update(redis_memory(large, self.sessions))
            some = many[:: max(1, len(many) // ASKED_ABOUT)][:ASKED_ABOUT]
            less, more = (
                stack.enter_context(
                    self._sidecar(redis, f"{count:,} sessions", near_entries=TOO_SMALL)
                )
                for redis, count in ((little, FEW_SESSIONS), (large, self.sessions))
            )
            got = self._compare(
                "misses",
                [
                    _unlike(less, few, each=ASKED_ABOUT // FEW_SESSIONS),
                    _unlike(more, some, each=1),
                ],
            )
            hits, looked = _lookups(more)
            self.results.memory["share_from_memory_on_the_miss_path"] = round(hits / looked, 4)
        enough = self.sessions >= 1_000_000
        self._growth("sessions_1m_vs_1k", got, more.name, less.name, enough=enough)
        self.results.ratios["miss_per_second"] = round(got.median(more.name, "per_second"))
        self.results.ratios["miss_per_cpu_second"] = round(got.median(more.name, "per_cpu_second"))

    def _growth(self, name: str, got: Compared, over: str, under: str, *, enough: bool) -> None:
        """Under the name of what is claimed only where there were as many as it is about."""
        if enough:
            self.results.ratio(name, got, over, under)
        else:
            self.results.ratios[name] = None
            self.results.ratio(f"{slug(over)}_vs_{slug(under)}", got, over, under)

    def memory_of_sessions(self, count: int = 6000) -> None:
        """How a worker grows by sessions, after all that grows for other reasons has grown."""
        with services.redis() as redis, self._sidecar(redis, "memory") as service:
            pid = _pid(service)
            time.sleep(SETTLED_SECONDS)
            idle = memory_mib(pid)
            tokens = session_seed.fill(redis.url, count + 1)
            first, *others = map(_cookie, tokens)
            agents = (f"Agent/{number}" for number in range(count))
            self._load(
                service, [load.check_one(service.path, first, agent=agent) for agent in agents]
            )
            warm, entries = memory_mib(pid), service.metric("authz_near_cache_entries")
            more, deadline = 0.0, time.monotonic() + 60
            while more < 0.98 * count and time.monotonic() < deadline:
                self._load(service, load.checks(service.path, others, each=1))
                more = service.metric("authz_near_cache_entries") - entries
            grown = (memory_mib(pid) - warm) * 1024 / more
            self.results.memory |= {
                "idle_worker_mib": round(idle, 1),
                "busy_worker_mib": round(warm, 1),
                "kib_per_cached_session": round(grown, 2),
                "kib_per_cached_session_estimated": round(
                    service.metric("authz_near_cache_bytes") / (more + entries) / 1024, 2
                ),
                "kib_per_cached_session_alone": round(near.kib_alone(redis.url, tokens), 2),
                "cached_sessions": round(more),
            }

    def revocations(self) -> None:
        """Two replicas of two workers each."""
        with services.redis() as redis, ExitStack() as stack:
            replicas = [
                stack.enter_context(self._sidecar(redis, f"replica {number}", workers=2))
                for number in (1, 2)
            ]
            took = asyncio.run(revocation.milliseconds(redis.url, replicas, count=300))
            self.results.ratios["revocation_p50_ms"] = round(took[len(took) // 2], 2)
            self.results.ratios["revocation_p99_ms"] = round(took[int(len(took) * 0.99)], 2)

    def news_of_changes(self, changes: int = 5000) -> None:
        """What it costs a worker, and the line to it, to hear of each change in the store."""
        with services.redis() as redis, self._sidecar(redis, "news") as service:
            with Redis.from_url(redis.url) as client:
                while service.metric("authz_near_cache_coherent") < 1:
                    time.sleep(0.05)
                sent, used = _sent(redis), cpu_seconds(_pid(service))
                for number in range(changes):  # one by one, as they come
                    client.set(f"az:s:{{{number:022d}}}", b"1", px=60_000)
            time.sleep(0.5)
            used = cpu_seconds(_pid(service)) - used
            told = _sent(redis) - sent - len(b"+OK\r\n") * changes
            self.results.news = {
                "bytes_per_change": round(told / changes, 1),
                "cpu_us_per_change": round(used / changes * 1e6, 2),
            }

    def policies(self) -> None:
        """In a process of its own: it holds hundreds of thousands of routes."""
        command = ["taskset", "-c", str(SERVICE_CORE), sys.executable, "-m", "benchmarks.policy"]
        command += ["--json", "--routes", str(self.routes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"benchmarks.policy: {done.stderr[-2000:]}")
        self.results.policy = json.loads(done.stdout)

    def steps(self) -> None:
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
        load.wrk(self.directory, service.port, requests, seconds=seconds)

    def _compare(self, what: str, asked: Sequence[Asked]) -> Compared:
        got = compare(
            what, asked, directory=self.directory, seconds=self.seconds, rounds=self.rounds
        )
        self.results.add(got)
        return got

    @contextmanager
    def _sidecar(self, redis: RedisServer, name: str, **options: Any) -> Iterator[Service]:
        with services.sidecar(self.directory, redis.url, name=name, **options) as service:
            yield service


def _asked(service: Service, cookies: Sequence[str], *, each: int = 6) -> Asked:
    requests = load.checks(service.path, cookies, each=each)
    return Asked(service=service, port=service.port, requests=requests)


def _unlike(service: Service, cookies: Sequence[str], *, each: int) -> Asked:
    requests = load.unlike(service.path, cookies, each=each)
    return Asked(service=service, port=service.port, requests=requests)


def _cookies(redis: RedisServer, count: int) -> list[str]:
    return [_cookie(token) for token in session_seed.fill(redis.url, count)]


def _cookie(token: str) -> str:
    return f"__Host-authz={token}"


def _lookups(service: Service) -> tuple[float, float]:
    """From memory, and all."""
    name = "authz_near_cache_lookups_total"
    return service.metric(f'{name}{{from="memory"}}'), service.metric(name)


def _sent(redis: RedisServer) -> int:
    return int(redis.command("INFO", "stats")["total_net_output_bytes"])


def _pid(service: Service) -> int:
    if service.pid is None:
        raise ValueError(f"`{service.name}` is not ours")
    return service.pid
