"""What a run has found, and where it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.comparison import Comparison

LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass(kw_only=True)
class Results:
    """`ratios` by their names; `memory`, `policy` and `news` in the units that their names say;
    `micro` in microseconds."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    ratios: dict[str, float | None] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, float] = field(default_factory=dict)
    news: dict[str, float] = field(default_factory=dict)
    micro: dict[str, float] = field(default_factory=dict)

    def add_runs(self, comparison: Comparison) -> None:
        self.runs.extend(comparison.runs())

    def add_ratio(
        self, name: str, comparison: Comparison, numerator: str, denominator: str
    ) -> None:
        self.ratios[name] = comparison.ratio(numerator, denominator)
        self.ratios[f"{name}_per_cpu_second"] = comparison.ratio(
            numerator, denominator, "per_cpu_second"
        )
