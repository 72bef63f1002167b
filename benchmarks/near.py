"""The near cache on a Redis of its own on loopback: how fast a revocation is refused by other
workers, how many misses one core serves, and how much memory a session takes.

    python -m benchmarks.near [--sessions 100000] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import multiprocessing
import os
import random
import shutil
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import uvloop

from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.cache import NearCache, NearCacheLimits
from authz_sidecar.sessions.factory import open_store
from benchmarks.session_seed import (
    IDLE_TIMEOUT,
    SCOPE,
    SECRET_KEY,
    build_identity,
    open_sessions,
    seed_sessions,
)
from tests.servers.redis import running_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from multiprocessing.connection import Connection

    from authz_sidecar.sessions.cache import CachedSession

SECRETS = SecretKeys([SECRET_KEY.encode()])
WORKERS, REVOCATIONS, CONCURRENCY, SECONDS = 2, 300, 32, 5.0


@contextlib.asynccontextmanager
async def open_near_cache(url: str, **options: Any) -> AsyncIterator[NearCache]:
    store = open_store(url)
    cache = NearCache(store, secret_keys=SECRETS, idle_timeout=IDLE_TIMEOUT, **options)
    cache.start()
    while not cache.coherent:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield cache
    finally:
        await cache.aclose()
        await store.aclose()


def cached_session(cache: NearCache, token: str) -> CachedSession | None:
    return cache.lookup(token, scope=SCOPE, provider="corp", now=time.time())


# -- revocation ------------------------------------------------------------------------------------


def run_worker(url: str, pipe: Connection) -> None:
    """Another replica: says when a session that it had in memory was refused."""

    async def run() -> None:
        async with open_near_cache(url) as cache:
            while token := pipe.recv():
                while not cached_session(cache, token):
                    await cache.find(token, scope=SCOPE, provider="corp")
                pipe.send("held")
                while cached_session(cache, token):  # noqa: ASYNC110
                    await asyncio.sleep(0.0002)
                pipe.send(time.monotonic())

    uvloop.run(run())


async def measure_revocations(url: str) -> list[float]:
    """Seconds from the beginning of a sign-out to its being refused by the last of the workers."""
    pipes, processes = [], []
    for _ in range(WORKERS):
        mine, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=run_worker, args=(url, theirs), daemon=True)
        process.start()
        pipes.append(mine)
        processes.append(process)
    store = open_store(url)
    sessions = open_sessions(store)
    took = []
    for number in range(REVOCATIONS):
        token, session = await sessions.create(identity=build_identity(number), scope=SCOPE)
        for pipe in pipes:
            pipe.send(token)
        for pipe in pipes:
            await asyncio.to_thread(pipe.recv)
        began = time.monotonic()
        await sessions.end(session)
        took.append(max([await asyncio.to_thread(pipe.recv) for pipe in pipes]) - began)
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send("")
        process.join()
    await store.aclose()
    return took


# -- misses, memory, hits --------------------------------------------------------------------------


async def measure_misses(url: str, tokens: list[str]) -> tuple[float, float]:
    """A second, when next to nothing is in memory; and a second of our own processor time, which
    is the same where nobody else wants the core."""
    async with open_near_cache(url, limits=NearCacheLimits(max_entries=1)) as cache:
        until = time.perf_counter() + SECONDS

        async def look_up() -> None:
            choice = random.Random(id(asyncio.current_task())).choice
            while time.perf_counter() < until:
                assert await cache.find(choice(tokens), scope=SCOPE, provider="corp")

        before, began, worked = cache.stats.misses, time.perf_counter(), time.process_time()
        await asyncio.gather(*(look_up() for _ in range(CONCURRENCY)))
        served = cache.stats.misses - before
        seconds, work = time.perf_counter() - began, time.process_time() - worked
        return served / seconds, served / work


async def measure_memory(url: str, tokens: list[str]) -> tuple[float, float]:
    """Bytes of each session: as the process grew, and as the cache estimates."""
    async with open_near_cache(
        url, limits=NearCacheLimits(max_entries=len(tokens) + 1, max_bytes=1 << 40)
    ) as cache:
        for token in tokens[:500]:  # buffers and code come first
            await cache.find(token, scope=SCOPE, provider="corp")
        gc.collect()
        before, resident, estimated = cache.entries, resident_bytes(), cache.bytes
        for begin in range(500, len(tokens), 50):
            await asyncio.gather(
                *(
                    cache.find(token, scope=SCOPE, provider="corp")
                    for token in tokens[begin : begin + 50]
                )
            )
        gc.collect()
        more = cache.entries - before
        return (resident_bytes() - resident) / more, (cache.bytes - estimated) / more


def measure_kib_isolated(url: str, tokens: list[str]) -> float:
    """What `measure_memory` says of the process, in one that has done nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_kib, (url, tokens))


def _measure_kib(url: str, tokens: list[str]) -> float:
    return uvloop.run(measure_memory(url, tokens))[0] / 1024


async def measure_hits(url: str, token: str) -> float:
    """Nanoseconds of a `lookup`."""
    async with open_near_cache(url) as cache:
        while not cached_session(cache, token):
            await cache.find(token, scope=SCOPE, provider="corp")
        now, rounds = time.time(), []
        for _ in range(20):
            began = time.perf_counter_ns()
            for _ in range(5000):
                cache.lookup(token, scope=SCOPE, provider="corp", now=now)
            rounds.append((time.perf_counter_ns() - began) / 5000)
            await asyncio.sleep(0)
        return min(rounds)


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def running_redis_url() -> Iterator[str]:
    binary = shutil.which("redis-server")
    if binary is None:
        sys.exit("redis-server is not installed")
    with running_redis(binary) as server:
        yield server.url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running_redis_url() as url:
        took = sorted(uvloop.run(measure_revocations(url)))
        few = uvloop.run(measure_misses(url, seed_sessions(url, 1000)))
        tokens = seed_sessions(url, options.sessions)
        many = uvloop.run(measure_misses(url, tokens))
        grown, estimated = uvloop.run(measure_memory(url, tokens[:20_000]))
        one = uvloop.run(measure_hits(url, tokens[0]))
    results = {
        "revocation_p50_ms": round(statistics.median(took) * 1000, 2),
        "revocation_p99_ms": round(took[int(len(took) * 0.99)] * 1000, 2),
        "revocation_max_ms": round(took[-1] * 1000, 2),
        "miss_per_second": round(many[0]),
        "miss_per_core_second": round(many[1]),
        "miss_per_core_second_1k_sessions": round(few[1]),
        "sessions": options.sessions,
        "bytes_per_session": round(grown),
        "bytes_per_session_estimated": round(estimated),
        "peek_ns": round(one),
    }
    if options.json:
        print(json.dumps(results))
    else:
        for name, value in results.items():
            print(f"{name:<30} {value}")


if __name__ == "__main__":
    main()
