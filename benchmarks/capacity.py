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

_MOST_REPLICAS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of one core: checks from memory and misses a second. Of one session: KiB in a worker, bytes in
    Redis and of its record. Of one change that a worker hears of: bytes and seconds of its core."""

    checks_per_core: float
    misses_per_core: float
    kib_cached: float
    redis_bytes: float
    record_bytes: float
    news_bytes: float
    news_seconds: float

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Measured:
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
            kib_cached=results["memory"]["kib_per_cached_session"],
            redis_bytes=results["memory"]["redis_bytes_per_session"],
            record_bytes=results["memory"]["redis_record_bytes"],
            news_bytes=results["news"]["bytes_per_change"],
            news_seconds=results["news"]["cpu_us_per_change"] / 1e6,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Not measured here. `in_use` is the share of the sessions that the checks are about, `filled`
    how busy a core or a Redis is allowed to be."""

    sessions: int = 10_000_000
    checks_per_second: int = 1_000_000
    in_use: float = 0.2
    lifetime_hours: float = 14.0
    refreshes_per_hour: float = 1.0
    last_use_seconds: float = 360.0
    workers_per_replica: int = 8
    near_cache_gib: float = 1.0
    filled: float = 0.6
    redis_commands_per_second: float = 100_000.0
    redis_gib: float = 8.0
    redis_slack: float = 1.25
    copies: int = 2
    commands_per_miss: int = 2
    commands_per_change: int = 10
    bytes_around_a_record: int = 200

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
    hits: float
    core_share: float
    near_gib_per_replica: float
    misses_per_second: float
    last_uses_per_second: float
    redis_commands_per_second: float
    redis_gib: float
    redis_primaries: int
    redis_megabytes_per_second: float
    news_kilobytes_per_worker: float
    news_megabytes_per_second: float


def plan(measured: Measured, assumed: Assumed, *, sticky: bool) -> Plan:
    """The fewest replicas that do it. Raises `ArithmeticError` where no number does."""
    fewest = _least_cores(measured, assumed) / assumed.workers_per_replica
    replicas = max(1, math.floor(fewest))
    while replicas <= _MOST_REPLICAS:
        found = _with(replicas, measured, assumed, sticky=sticky)
        if found.core_share <= assumed.filled:
            return found
        replicas += max(1, replicas // 50)
    raise ArithmeticError("every worker hears of more changes than it has time for")


def _least_cores(measured: Measured, assumed: Assumed) -> float:
    return assumed.checks_per_second / measured.checks_per_core / assumed.filled


def _with(replicas: int, measured: Measured, assumed: Assumed, *, sticky: bool) -> Plan:
    workers = replicas * assumed.workers_per_replica
    active = assumed.sessions * assumed.in_use
    # How many workers meet one session, and how many sessions one worker meets.
    meet, met = (assumed.workers_per_replica, active / replicas) if sticky else (workers, active)
    often = assumed.checks_per_second / active / meet
    changes = assumed.refreshes_per_hour / 3600
    room = assumed.near_cache_gib * 2**20 / measured.kib_cached
    held, fresh = min(1.0, room / met), often / (often + changes)
    hits = held * fresh
    misses = assumed.checks_per_second * (1 - hits)
    seconds = (
        assumed.checks_per_second * hits / measured.checks_per_core
        + misses / measured.misses_per_core
    ) / workers + assumed.changes_per_second * measured.news_seconds
    last_uses = active * meet / (assumed.last_use_seconds + 1 / often)
    commands = (
        misses * assumed.commands_per_miss
        + last_uses
        + assumed.changes_per_second * assumed.commands_per_change
    )
    gib = assumed.sessions * measured.redis_bytes * assumed.redis_slack / 2**30
    told = assumed.changes_per_second * measured.news_bytes
    read = misses * (measured.record_bytes + assumed.bytes_around_a_record)
    return Plan(
        sticky=sticky,
        replicas=replicas,
        workers=workers,
        hits=hits,
        core_share=seconds,
        near_gib_per_replica=min(room, met)
        * measured.kib_cached
        * assumed.workers_per_replica
        / 2**20,
        misses_per_second=misses,
        last_uses_per_second=last_uses,
        redis_commands_per_second=commands,
        redis_gib=gib,
        redis_primaries=max(
            math.ceil(gib / assumed.redis_gib),
            math.ceil(commands / (assumed.redis_commands_per_second * assumed.filled)),
        ),
        redis_megabytes_per_second=(read + told * workers) / 1e6,
        news_kilobytes_per_worker=told / 1e3,
        news_megabytes_per_second=told * workers / 1e6,
    )


def table(plans: tuple[Plan, ...], assumed: Assumed) -> Iterator[str]:
    """As Markdown."""
    rows: dict[str, list[str]] = {
        "replicas": [f"{it.replicas:,}" for it in plans],
        f"cores ({assumed.workers_per_replica} workers each)": [f"{it.workers:,}" for it in plans],
        "answered from memory": [f"{it.hits:.1%}" for it in plans],
        "near caches of a replica": [f"{it.near_gib_per_replica:.1f} GiB" for it in plans],
        "misses": [f"{it.misses_per_second:,.0f} /s" for it in plans],
        "last uses written": [f"{it.last_uses_per_second:,.0f} /s" for it in plans],
        "commands for Redis": [f"{it.redis_commands_per_second:,.0f} /s" for it in plans],
        "memory of Redis": [f"{it.redis_gib:.1f} GiB" for it in plans],
        f"primaries, each with {assumed.copies - 1} replica": [
            f"{it.redis_primaries}" for it in plans
        ],
        "out of Redis": [f"{it.redis_megabytes_per_second:,.0f} MB/s" for it in plans],
        "of which news of changes": [f"{it.news_megabytes_per_second:,.1f} MB/s" for it in plans],
        "news to each worker": [f"{it.news_kilobytes_per_worker:,.0f} kB/s" for it in plans],
    }
    names = ("any replica" if not it.sticky else "one replica for a session" for it in plans)
    yield f"| checks are asked of | {' | '.join(names)} |"
    yield f"|---{'|--:' * len(plans)}|"
    for name, values in rows.items():
        yield f"| {name} | {' | '.join(values)} |"


def main() -> None:
    measured, assumed = Measured.of(json.loads(LATEST.read_text())), Assumed()
    plans = tuple(plan(measured, assumed, sticky=sticky) for sticky in (True, False))
    print(measured, assumed, *table(plans, assumed), sep="\n")


if __name__ == "__main__":
    main()
