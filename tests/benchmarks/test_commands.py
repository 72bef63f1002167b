"""What measures, measures what it says: with a real Redis and, where wrk is not needed, real parts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.sessions.factory import open_store
from benchmarks.redis_memory import measure_redis_memory
from benchmarks.session_seed import SCOPE, build_identity, open_sessions, seed_sessions

if TYPE_CHECKING:
    from tests.servers.redis import RedisServer, RedisStarter

ROOT = Path(__file__).parents[2]


async def test_sessions_that_are_written_in_batches_are_sessions(redis_server: RedisServer) -> None:
    redis_server.flush()
    tokens = await asyncio.to_thread(seed_sessions, redis_server.url, 3)
    store = open_store(redis_server.url)
    sessions = open_sessions(store)
    try:
        found = [await sessions.find(each, scope=SCOPE, provider="corp") for each in tokens]
        assert [it and it.identity.email for it in found] == [
            build_identity(n).email for n in range(3)
        ]
        who = build_identity(1)
        listed = await sessions.list_for_user(
            provider="corp", issuer=who.issuer, subject=who.subject
        )
        assert len(listed) == 1
    finally:
        await store.aclose()


async def test_they_are_written_as_a_sign_in_writes_them(start_redis: RedisStarter) -> None:
    batched, signed_in = start_redis(), start_redis()
    await asyncio.to_thread(seed_sessions, batched.url, 1)
    store = open_store(signed_in.url)
    try:
        await open_sessions(store).create(
            identity=build_identity(0), scope=SCOPE, provider_session=f"sid-{0:032x}"
        )
    finally:
        await store.aclose()

    def kinds(server: RedisServer) -> list[tuple[str, bool]]:
        return sorted((key[:5], server.command("PTTL", key) > 0) for key in server.all_keys())

    assert kinds(batched) == kinds(signed_in)


def test_the_bytes_of_a_session_add_up(start_redis: RedisStarter) -> None:
    redis = start_redis()
    seed_sessions(redis.url, 2000)
    found = measure_redis_memory(redis, 2000)
    total = found["redis_bytes_per_session"]
    assert abs(sum(found["redis_bytes_by_kind"].values()) - total) <= 5
    assert 200 < found["redis_bytes_per_session_without_listing"] < total


def test_the_micro_benchmarks_work() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "benchmark", "-p", "no:xdist"]
    command += ["-p", "no:cacheprovider", "-q", "--benchmark-disable", "benchmarks"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_the_costs_of_policies_are_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.policy", "--routes", "100"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "load and compile 100 routes" in done.stdout
