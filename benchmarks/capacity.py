"""What many sessions and checks need, worked out from what one run measured: `python -m
benchmarks.capacity`, and a chapter of `docs/performance.md`. Pure but for its `main`.

Every session in use is asked about equally often. A worker answers from memory what it has room
for and what has not changed since it looked: `held` and `fresh`, each a share of the checks.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.results import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_REPLICAS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Of one core: checks from memory and misses a second. Of one session: KiB in a worker, bytes in
    Redis and of its record. Of one change that a worker hears of: bytes and seconds of its core."""

    checks_per_core: float
    misses_per_core: float
    kib_per_cached_session: float
    redis_bytes: float
    record_bytes: float
    invalidation_bytes: float
    invalidation_seconds: float

    @classmethod
    def from_results(cls, results: Mapping[str, Any]) -> Measurements:
        """Raises `LookupError` where the run measured less."""
        lane = next(
            (
                run
                for run in results["runs"]
                if run["what"] == "checks" and run["service"] == "lane"
            ),
            None,
        )
        if lane is None:
            raise KeyError("checks of the lane")
        return cls(
            checks_per_core=lane["per_cpu_second"],
            misses_per_core=results["ratios"]["miss_per_cpu_second"],
            kib_per_cached_session=results["memory"]["kib_per_cached_session"],
            redis_bytes=results["memory"]["redis_bytes_per_session"],
            record_bytes=results["memory"]["redis_record_bytes"],
            invalidation_bytes=results["news"]["bytes_per_change"],
            invalidation_seconds=results["news"]["cpu_us_per_change"] / 1e6,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Not measured here. `active_share` is the share of the sessions that the checks are about,
    `max_utilization` how busy a core or a Redis is allowed to be."""

    sessions: int = 10_000_000
    checks_per_second: int = 1_000_000
    active_share: float = 0.2
    lifetime_hours: float = 14.0
    refreshes_per_hour: float = 1.0
    last_use_seconds: float = 360.0
    workers_per_replica: int = 8
    near_cache_gib: float = 1.0
    max_utilization: float = 0.6
    redis_commands_per_second: float = 100_000.0
    redis_gib: float = 8.0
    redis_slack: float = 1.25
    redis_copies: int = 2
    commands_per_miss: int = 2
    commands_per_change: int = 10
    record_overhead_bytes: int = 200

    @property
    def changes_per_second(self) -> float:
        """Births, ends and refreshes: what every worker hears of."""
        return self.sessions * (2 / self.lifetime_hours + self.refreshes_per_hour) / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`sticky`: the proxies send the checks of one session to one replica."""

    sticky: bool
    replicas: int
    workers: int
    hit_ratio: float
    core_share: float
    near_gib_per_replica: float
    misses_per_second: float
    last_uses_per_second: float
    redis_commands_per_second: float
    redis_gib: float
    redis_primaries: int
    redis_megabytes_per_second: float
    invalidation_kilobytes_per_worker: float
    invalidation_megabytes_per_second: float


def plan_capacity(measured: Measurements, assumptions: Assumptions, *, sticky: bool) -> Plan:
    """The fewest replicas that do it. Raises `ArithmeticError` where no number does."""
    min_replicas = _min_cores(measured, assumptions) / assumptions.workers_per_replica
    replicas = max(1, math.floor(min_replicas))
    while replicas <= _MAX_REPLICAS:
        candidate = _plan_replicas(replicas, measured, assumptions, sticky=sticky)
        if candidate.core_share <= assumptions.max_utilization:
            return candidate
        replicas += max(1, replicas // 50)
    raise ArithmeticError("every worker hears of more changes than it has time for")


def _min_cores(measured: Measurements, assumptions: Assumptions) -> float:
    return assumptions.checks_per_second / measured.checks_per_core / assumptions.max_utilization


def _plan_replicas(
    replicas: int, measured: Measurements, assumptions: Assumptions, *, sticky: bool
) -> Plan:
    workers = replicas * assumptions.workers_per_replica
    active = assumptions.sessions * assumptions.active_share
    # How many workers meet one session, and how many sessions one worker meets.
    workers_per_session, sessions_per_worker = (
        (assumptions.workers_per_replica, active / replicas) if sticky else (workers, active)
    )
    checks_per_session_and_worker = assumptions.checks_per_second / active / workers_per_session
    changes = assumptions.refreshes_per_hour / 3600
    cache_capacity = assumptions.near_cache_gib * 2**20 / measured.kib_per_cached_session
    cached_share, fresh_share = (
        min(1.0, cache_capacity / sessions_per_worker),
        checks_per_session_and_worker / (checks_per_session_and_worker + changes),
    )
    hits = cached_share * fresh_share
    misses = assumptions.checks_per_second * (1 - hits)
    seconds = (
        assumptions.checks_per_second * hits / measured.checks_per_core
        + misses / measured.misses_per_core
    ) / workers + assumptions.changes_per_second * measured.invalidation_seconds
    last_uses = (
        active
        * workers_per_session
        / (assumptions.last_use_seconds + 1 / checks_per_session_and_worker)
    )
    commands = (
        misses * assumptions.commands_per_miss
        + last_uses
        + assumptions.changes_per_second * assumptions.commands_per_change
    )
    gib = assumptions.sessions * measured.redis_bytes * assumptions.redis_slack / 2**30
    invalidation_bytes = assumptions.changes_per_second * measured.invalidation_bytes
    read = misses * (measured.record_bytes + assumptions.record_overhead_bytes)
    return Plan(
        sticky=sticky,
        replicas=replicas,
        workers=workers,
        hit_ratio=hits,
        core_share=seconds,
        near_gib_per_replica=min(cache_capacity, sessions_per_worker)
        * measured.kib_per_cached_session
        * assumptions.workers_per_replica
        / 2**20,
        misses_per_second=misses,
        last_uses_per_second=last_uses,
        redis_commands_per_second=commands,
        redis_gib=gib,
        redis_primaries=max(
            math.ceil(gib / assumptions.redis_gib),
            math.ceil(
                commands / (assumptions.redis_commands_per_second * assumptions.max_utilization)
            ),
        ),
        redis_megabytes_per_second=(read + invalidation_bytes * workers) / 1e6,
        invalidation_kilobytes_per_worker=invalidation_bytes / 1e3,
        invalidation_megabytes_per_second=invalidation_bytes * workers / 1e6,
    )


def markdown_table(plans: tuple[Plan, ...], assumptions: Assumptions) -> Iterator[str]:
    """As Markdown."""
    rows: dict[str, list[str]] = {
        "replicas": [f"{plan.replicas:,}" for plan in plans],
        f"cores ({assumptions.workers_per_replica} workers each)": [
            f"{plan.workers:,}" for plan in plans
        ],
        "answered from memory": [f"{plan.hit_ratio:.1%}" for plan in plans],
        "near caches of a replica": [f"{plan.near_gib_per_replica:.1f} GiB" for plan in plans],
        "misses": [f"{plan.misses_per_second:,.0f} /s" for plan in plans],
        "last uses written": [f"{plan.last_uses_per_second:,.0f} /s" for plan in plans],
        "commands for Redis": [f"{plan.redis_commands_per_second:,.0f} /s" for plan in plans],
        "memory of Redis": [f"{plan.redis_gib:.1f} GiB" for plan in plans],
        f"primaries, each with {assumptions.redis_copies - 1} replica": [
            f"{plan.redis_primaries}" for plan in plans
        ],
        "out of Redis": [f"{plan.redis_megabytes_per_second:,.0f} MB/s" for plan in plans],
        "of which news of changes": [
            f"{plan.invalidation_megabytes_per_second:,.1f} MB/s" for plan in plans
        ],
        "news to each worker": [
            f"{plan.invalidation_kilobytes_per_worker:,.0f} kB/s" for plan in plans
        ],
    }
    names = ("any replica" if not plan.sticky else "one replica for a session" for plan in plans)
    yield f"| checks are asked of | {' | '.join(names)} |"
    yield f"|---{'|--:' * len(plans)}|"
    for name, values in rows.items():
        yield f"| {name} | {' | '.join(values)} |"


def main() -> None:
    measured, assumptions = Measurements.from_results(json.loads(LATEST.read_text())), Assumptions()
    plans = tuple(plan_capacity(measured, assumptions, sticky=sticky) for sticky in (True, False))
    print(measured, assumptions, *markdown_table(plans, assumptions), sep="\n")


if __name__ == "__main__":
    main()
