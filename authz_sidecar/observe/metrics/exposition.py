"""Conversions between a Prometheus registry, a snapshot and the text format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from authz_sidecar.observe.snapshot import MetricFamily, MetricsSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable


def collect_snapshot(registry: CollectorRegistry) -> MetricsSnapshot:
    """Return the current values of a registry."""
    return tuple(_to_family(metric) for metric in registry.collect())


def render(snapshot: MetricsSnapshot) -> bytes:
    """Return the snapshot in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(snapshot))
    return generate_latest(registry)


def _to_family(metric: Metric) -> MetricFamily:
    return MetricFamily(
        name=metric.name,
        kind=metric.type,
        help=metric.documentation,
        samples=tuple(
            (sample.name, tuple(sorted(sample.labels.items())), sample.value)
            for sample in metric.samples
            if not sample.name.endswith("_created")
        ),
    )


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        for family in self._snapshot:
            metric = Metric(family.name, family.help, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric
