"""Counts for Prometheus. Decides their names and labels; every label takes few values, so that no
client can make the registry grow."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from authz_sidecar.observe.report import Family, Report

if TYPE_CHECKING:
    from collections.abc import Iterable

# From a tenth of a millisecond, an answer from memory, to the patience of a proxy.
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)


class Metrics:
    """What this process counts, in a registry of its own."""

    def __init__(self, *, version: str, process: bool = True) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=False)
        if process:
            ProcessCollector(registry=registry)
        self._checks = Counter(
            "authz_checks",
            "Checks answered.",
            ("adapter", "decision", "status"),
            registry=registry,
        )
        self._durations = Histogram(
            "authz_check_duration_seconds",
            "How long a check took.",
            ("adapter",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._sign_ins = Counter(
            "authz_sign_ins",
            "Sign-ins by how they ended.",
            ("provider", "outcome"),
            registry=registry,
        )
        self._store_errors = Counter(
            "authz_store_errors",
            "Times the session store was found not to answer.",
            registry=registry,
        )
        self._refusals = Counter(
            "authz_connections_refused",
            "Requests refused before any application saw them: too large, too slow, malformed.",
            ("listener", "status"),
            registry=registry,
        )
        self._generation = Gauge(
            "authz_config_generation",
            "How many configurations this server has taken into use.",
            registry=registry,
        )
        self._reload_ok = Gauge(
            "authz_config_last_reload_successful",
            "1 if the last attempt to load the configuration succeeded.",
            registry=registry,
        )
        self._loaded_at = Gauge(
            "authz_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was loaded.",
            registry=registry,
        )
        self._routes = Gauge("authz_routes", "Routes in the configuration.", registry=registry)
        Gauge("authz_build_info", "Versions.", ("version", "python"), registry=registry).labels(
            version, platform.python_version()
        ).set(1)

    def check(self, *, adapter: str, decision: str, status: int, seconds: float) -> None:
        self._checks.labels(adapter, decision, str(status)).inc()
        self._durations.labels(adapter).observe(seconds)

    def sign_in(self, *, provider: str, outcome: str) -> None:
        self._sign_ins.labels(provider, outcome).inc()

    def store_error(self) -> None:
        self._store_errors.inc()

    def refusal(self, *, listener: str, status: int) -> None:
        self._refusals.labels(listener, str(status)).inc()

    def loaded(self, *, generation: int, at: float, routes: int) -> None:
        self._generation.set(generation)
        self._loaded_at.set(at)
        self._routes.set(routes)
        self._reload_ok.set(1)

    def reload_failed(self) -> None:
        self._reload_ok.set(0)

    def report(self) -> Report:
        return tuple(_family(metric) for metric in self._registry.collect())


def _family(metric: Metric) -> Family:
    return Family(
        name=metric.name,
        kind=metric.type,
        help=metric.documentation,
        samples=tuple(
            (sample.name, tuple(sorted(sample.labels.items())), sample.value)
            for sample in metric.samples
            if not sample.name.endswith("_created")
        ),
    )


class _Reported(Collector):
    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterable[Metric]:
        for family in self._report:
            metric = Metric(family.name, family.help, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric


def page(report: Report) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reported(report))
    return generate_latest(registry)
