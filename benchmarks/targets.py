"""What is claimed, as figures to be reached, and whether a run reached them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Verdict(Enum):
    MET = "met"
    MISSED = "**not met**"
    NOT_MEASURED = "not measured"
    REPORTED = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`name` is that of the figure; `least` and `most` are the bounds, if there are any; `scale`
    and `unit` are for showing it."""

    text: str
    name: str
    least: float | None = None
    most: float | None = None
    unit: str = ""
    digits: int = 2

    def show(self, value: float) -> str:
        return f"{value:,.{self.digits}f}{self.unit}"

    @property
    def target(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}{self.unit}"
        if self.least is not None:
            return f"≥ {self.least:,g}{self.unit}"
        return "-" if self.most is None else f"≤ {self.most:,g}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    text: str
    shown: str
    target: str
    verdict: Verdict
    value: float | None


def judged(claims: Sequence[Claim], figures: Mapping[str, Any]) -> Iterator[Judged]:
    for claim in claims:
        value = figures.get(claim.name)
        yield Judged(
            text=claim.text,
            shown="-" if value is None else claim.show(value),
            target=claim.target,
            verdict=_verdict(claim, value),
            value=value,
        )


def _verdict(claim: Claim, value: float | None) -> Verdict:
    if value is None:
        return Verdict.NOT_MEASURED
    if claim.least is None and claim.most is None:
        return Verdict.REPORTED
    low = claim.least is not None and value < claim.least
    high = claim.most is not None and value > claim.most
    return Verdict.MISSED if low or high else Verdict.MET


SPEED = (
    Claim(text="lane, to nginx `return 204`", name="lane_vs_nginx_return_204", least=0.7),
    Claim(
        text="lane, to a plain FastAPI endpoint",
        name="lane_vs_plain_fastapi",
        least=8,
        digits=1,
    ),
    Claim(text="framework path, to a plain FastAPI endpoint", name="framework_vs_plain_fastapi"),
    Claim(text="lane with a log line for each check, to without", name="lane_with_log_vs_lane"),
    Claim(
        text="through nginx: lane, to `return 204` as the auth service",
        name="through_nginx_vs_return_204",
        least=0.95,
    ),
    Claim(
        text="through nginx: p99, to that of `return 204`",
        name="through_nginx_p99_vs_return_204",
        most=2,
    ),
    Claim(
        text="through Envoy: lane, to `return 204` as the auth service",
        name="through_envoy_vs_return_204",
    ),
    Claim(
        text="through Envoy: p99, to that of `return 204`",
        name="through_envoy_p99_vs_return_204",
    ),
)
GROWTH = (
    Claim(text="checks with all routes, to those with 10", name="routes_100k_vs_10", least=0.9),
    Claim(
        text="misses with all sessions in Redis, to those with 1,000",
        name="sessions_1m_vs_1k",
        least=0.9,
    ),
    Claim(text="misses on one core", name="miss_per_second", least=4000, unit=" /s", digits=0),
    Claim(
        text="a revocation is heard by every worker, p99",
        name="revocation_p99_ms",
        most=50,
        unit=" ms",
        digits=1,
    ),
)
MEMORY = (
    Claim(
        text="an idle worker, in touch with its provider",
        name="idle_worker_mib",
        most=80,
        unit=" MiB",
        digits=1,
    ),
    Claim(text="a worker with all routes", name="mib_with_all_routes", unit=" MiB", digits=1),
    Claim(
        text="a session in the near cache",
        name="kib_per_cached_session_alone",
        most=3,
        unit=" KiB",
        digits=1,
    ),
    Claim(
        text="the same with its assertion, its prepared answer and the question it answers",
        name="kib_per_cached_session",
        unit=" KiB",
        digits=1,
    ),
    Claim(
        text="a session in Redis: identity, last use, indexes",
        name="redis_bytes_per_session_without_listing",
        most=1024,
        unit=" B",
        digits=0,
    ),
    Claim(
        text="the same with what lists show of it",
        name="redis_bytes_per_session",
        unit=" B",
        digits=0,
    ),
)


def claims_about_policies(routes: int) -> tuple[Claim, ...]:
    """With so many routes. The bounds for loading are for a hundred thousand."""
    fits = routes <= 100_000
    return (
        Claim(
            text="match + specialised decision, 10 routes",
            name="match_decide_us_few_routes",
            most=5,
            unit=" µs",
        ),
        Claim(
            text=f"match + specialised decision, {routes:,} routes",
            name="match_decide_us_many_routes",
            most=5,
            unit=" µs",
        ),
        Claim(
            text="the latter to the former",
            name="match_decide_many_vs_few",
            least=0.9,
            most=1.1,
        ),
        Claim(
            text="the same over 1,000 hosts in turn",
            name="match_decide_us_many_hosts",
            most=5,
            unit=" µs",
        ),
        Claim(
            text="a decision by ten criteria, unspecialised",
            name="decide_us_ten_criteria",
            most=20,
            unit=" µs",
        ),
        Claim(
            text=f"load and compile {routes // 10:,} routes",
            name="load_seconds_tenth",
            most=2 if fits else None,
            unit=" s",
        ),
        Claim(
            text=f"load and compile {routes:,} routes",
            name="load_seconds_all",
            most=30 if fits else None,
            unit=" s",
            digits=1,
        ),
        Claim(text="memory kept per route", name="kib_per_route_all", unit=" KiB", digits=1),
        Claim(
            text="memory per route while loading",
            name="kib_per_route_at_peak_all",
            unit=" KiB",
            digits=1,
        ),
    )
