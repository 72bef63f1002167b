"""What a run has found, and where it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.comparison import Compared

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

    def add(self, compared: Compared) -> None:
        self.runs.extend(compared.runs())

    def ratio(self, name: str, compared: Compared, over: str, under: str) -> None:
        self.ratios[name] = compared.ratio(over, under)
        self.ratios[f"{name}_per_cpu_second"] = compared.ratio(over, under, "per_cpu_second")
