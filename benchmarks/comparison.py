"""Several services under the same load, in turn, round after round, so that a machine which is busy
for a while is so for everybody. Ratios are taken within a round; what is told is the median."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from benchmarks import load
from benchmarks.machine import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.services import Service

Figure = Literal["per_second", "per_cpu_second", "core_share", "p50_ms", "p99_ms", "refused_share"]
FIGURES: tuple[Figure, ...] = get_args(Figure)


@dataclass(frozen=True, kw_only=True)
class LoadTarget:
    """`service` under load at a port: its own, or that of a proxy in front of it."""

    service: Service
    port: int
    requests: Sequence[str]
    is_own: bool = True


@dataclass(frozen=True, kw_only=True)
class Round:
    """`per_cpu_second` is for each second that the service had of a core, and `core_share` how much
    of one it had: less than all, where something else was slower. Zero where we cannot know."""

    per_second: float
    per_cpu_second: float
    core_share: float
    p50_ms: float
    p99_ms: float
    refused_share: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The rounds of each service, by its name."""

    name: str
    rounds: Mapping[str, Sequence[Round]] = field(repr=False)

    def median(self, name: str, figure: Figure) -> float:
        return statistics.median(_get_figure(each, figure) for each in self.rounds[name])

    def ratio(
        self, numerator: str, denominator: str, figure: Figure = "per_second"
    ) -> float | None:
        """The median of each round's own; None where one of them is not known."""
        pairs = [
            (_get_figure(one, figure), _get_figure(other, figure))
            for one, other in zip(self.rounds[numerator], self.rounds[denominator], strict=True)
        ]
        if any(not one or not other for one, other in pairs):
            return None
        return round(statistics.median(one / other for one, other in pairs), 3)

    def runs(self) -> list[dict[str, Any]]:
        return [
            {
                "what": self.name,
                "service": name,
                **{figure: round(self.median(name, figure), 4) for figure in FIGURES},
                "rounds_per_second": [round(each.per_second) for each in rounds],
            }
            for name, rounds in self.rounds.items()
        ]


def compare(
    name: str, targets: Sequence[LoadTarget], *, directory: Path, seconds: float, rounds: int
) -> Comparison:
    """Raises `RuntimeError` when a service of ours refuses what it should answer."""
    results: dict[str, list[Round]] = {each.service.name: [] for each in targets}
    for each in targets:
        _measure_round(name, each, directory=directory, seconds=max(1.0, seconds / 2))
    for number in range(rounds):
        # Each comes after each: what one leaves behind in caches is not always the same one's gain.
        for each in targets if number % 2 else reversed(targets):
            measured = _measure_round(name, each, directory=directory, seconds=seconds)
            results[each.service.name].append(measured)
    compared = Comparison(name=name, rounds=results)
    for run in compared.runs():
        print(
            f"  {name}: {run['service']:<20} {run['per_second']:>9,.0f} /s,"
            f" p99 {run['p99_ms']:.2f} ms, {run['core_share']:.0%} of a core",
            flush=True,
        )
    return compared


def _get_figure(measured: Round, figure: Figure) -> float:
    return float(getattr(measured, figure))


def _measure_round(name: str, target: LoadTarget, *, directory: Path, seconds: float) -> Round:
    service = target.service
    before = 0.0 if service.pid is None else cpu_seconds(service.pid)
    result = load.run_wrk(
        directory, target.port, target.requests, seconds=seconds, host=service.host
    )
    used = 0.0 if service.pid is None else cpu_seconds(service.pid) - before
    if result.unanswered or not result.requests or (target.is_own and result.refused):
        raise RuntimeError(
            f"{name}: `{service.name}` refused {result.refused} of {result.requests} requests and"
            f" {result.unanswered} had no answer"
        )
    return Round(
        per_second=result.per_second,
        per_cpu_second=result.requests / used if used else 0.0,
        core_share=used * result.per_second / result.requests,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
        refused_share=result.refused / result.requests,
    )
