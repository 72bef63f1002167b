"""The metrics of one process as plain values, which can be sent to another process and added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """One metric with its samples; `kind` is Prometheus' type."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


MetricsSnapshot = tuple[MetricFamily, ...]

_PER_WORKER_PREFIX = "authz_near_cache_"


def merge(base: MetricsSnapshot, others: Iterable[MetricsSnapshot]) -> MetricsSnapshot:
    """Return `base` plus the values of the other processes.

    Gauges of other processes are left out, but for those of each worker's memory.
    """
    families = {family.name: family for family in base}
    sums = {family.name: _by_labels(family) for family in base}
    for snapshot in others:
        for family in snapshot:
            if family.kind == "gauge" and not family.name.startswith(_PER_WORKER_PREFIX):
                continue
            families.setdefault(family.name, family)
            total = sums.setdefault(family.name, {})
            for name, labels, value in family.samples:
                total[name, labels] = total.get((name, labels), 0.0) + value
    return tuple(
        MetricFamily(
            family.name,
            family.kind,
            family.help,
            tuple((*key, value) for key, value in sums[family.name].items()),
        )
        for family in families.values()
    )


def _by_labels(family: MetricFamily) -> dict[tuple[str, Labels], float]:
    return {(name, labels): value for name, labels, value in family.samples}


def to_json(snapshot: MetricsSnapshot) -> list[Any]:
    """Return the snapshot as JSON values."""
    return [[f.name, f.kind, f.help, [[n, ls, v] for n, ls, v in f.samples]] for f in snapshot]


def from_json(data: list[Any]) -> MetricsSnapshot:
    """Return the snapshot from the values of `to_json`."""
    return tuple(
        MetricFamily(
            name,
            kind,
            text,
            tuple((n, tuple((k, v) for k, v in labels), value) for n, labels, value in samples),
        )
        for name, kind, text, samples in data
    )
