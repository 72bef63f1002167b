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
    """`name` is that of the figure; `minimum` and `maximum` are the bounds, if there are any;
    `scale` and `unit` are for showing it."""

    text: str
    name: str
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    digits: int = 2

    def format_value(self, value: float) -> str:
        return f"{value:,.{self.digits}f}{self.unit}"

    @property
    def target(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}{self.unit}"
        if self.minimum is not None:
            return f"≥ {self.minimum:,g}{self.unit}"
        return "-" if self.maximum is None else f"≤ {self.maximum:,g}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    text: str
    value_text: str
    target: str
    verdict: Verdict
    value: float | None


def evaluate_claims(claims: Sequence[Claim], figures: Mapping[str, Any]) -> Iterator[TargetResult]:
    for claim in claims:
        value = figures.get(claim.name)
        yield TargetResult(
            text=claim.text,
            value_text="-" if value is None else claim.format_value(value),
            target=claim.target,
            verdict=_evaluate(claim, value),
            value=value,
        )


def _evaluate(claim: Claim, value: float | None) -> Verdict:
    if value is None:
        return Verdict.NOT_MEASURED
    if claim.minimum is None and claim.maximum is None:
        return Verdict.REPORTED
    low = claim.minimum is not None and value < claim.minimum
    high = claim.maximum is not None and value > claim.maximum
    return Verdict.MISSED if low or high else Verdict.MET


SPEED_CLAIMS = (
    Claim(text="lane, to nginx `return 204`", name="lane_vs_nginx_return_204", minimum=0.7),
    Claim(
        text="lane, to a plain FastAPI endpoint",
        name="lane_vs_plain_fastapi",
        minimum=8,
        digits=1,
    ),
    Claim(text="framework path, to a plain FastAPI endpoint", name="framework_vs_plain_fastapi"),
    Claim(text="lane with a log line for each check, to without", name="lane_with_log_vs_lane"),
    Claim(
        text="through nginx: lane, to `return 204` as the auth service",
        name="through_nginx_vs_return_204",
        minimum=0.95,
    ),
    Claim(
        text="through nginx: p99, to that of `return 204`",
        name="through_nginx_p99_vs_return_204",
        maximum=2,
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
GROWTH_CLAIMS = (
    Claim(text="checks with all routes, to those with 10", name="routes_100k_vs_10", minimum=0.9),
    Claim(
        text="misses with all sessions in Redis, to those with 1,000",
        name="sessions_1m_vs_1k",
        minimum=0.9,
    ),
    Claim(text="misses on one core", name="miss_per_second", minimum=4000, unit=" /s", digits=0),
    Claim(
        text="a revocation is heard by every worker, p99",
        name="revocation_p99_ms",
        maximum=50,
        unit=" ms",
        digits=1,
    ),
)
MEMORY_CLAIMS = (
    Claim(
        text="an idle worker, in touch with its provider",
        name="idle_worker_mib",
        maximum=80,
        unit=" MiB",
        digits=1,
    ),
    Claim(text="a worker with all routes", name="mib_with_all_routes", unit=" MiB", digits=1),
    Claim(
        text="a session in the near cache",
        name="kib_per_cached_session_alone",
        maximum=3,
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
        maximum=1024,
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


def policy_claims(routes: int) -> tuple[Claim, ...]:
    """With so many routes. The bounds for loading are for a hundred thousand."""
    fits = routes <= 100_000
    return (
        Claim(
            text="match + specialised decision, 10 routes",
            name="match_decide_us_few_routes",
            maximum=5,
            unit=" µs",
        ),
        Claim(
            text=f"match + specialised decision, {routes:,} routes",
            name="match_decide_us_many_routes",
            maximum=5,
            unit=" µs",
        ),
        Claim(
            text="the latter to the former",
            name="match_decide_many_vs_few",
            minimum=0.9,
            maximum=1.1,
        ),
        Claim(
            text="the same over 1,000 hosts in turn",
            name="match_decide_us_many_hosts",
            maximum=5,
            unit=" µs",
        ),
        Claim(
            text="a decision by ten criteria, unspecialised",
            name="decide_us_ten_criteria",
            maximum=20,
            unit=" µs",
        ),
        Claim(
            text=f"load and compile {routes // 10:,} routes",
            name="load_seconds_tenth",
            maximum=2 if fits else None,
            unit=" s",
        ),
        Claim(
            text=f"load and compile {routes:,} routes",
            name="load_seconds_all",
            maximum=30 if fits else None,
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
