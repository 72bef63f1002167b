"""Counts for Prometheus. Decides their names and labels; every label takes few values, so that no
client can make the registry grow."""

from __future__ import annotations

import platform
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from authz_sidecar.observe.report import Family, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class NearCounts(Protocol):
    """What the near cache counts by itself: a check from memory has no time for a `Counter`."""

    hits: int
    misses: int
    graced: int
    invalidations: int
    evictions: int
    losses: int
    touches: int


class NearCache(Protocol):
    @property
    def counts(self) -> NearCounts: ...
    @property
    def entries(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def coherent(self) -> bool: ...
    @property
    def refused(self) -> bool: ...


class Table(Protocol):
    def now(self) -> object | None: ...


# From a tenth of a millisecond, an answer from memory, to the patience of a proxy.
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)


class Metrics:
    """What this process counts, in a registry of its own."""

    def __init__(self, *, version: str, process: bool = True) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=False)
        if process:
            ProcessCollector(registry=registry)
        self._checks = _Checks()
        registry.register(self._checks)
        self._sign_ins = Counter(
            "authz_sign_ins",
            "Sign-ins by how they ended.",
            ("provider", "outcome"),
            registry=registry,
        )
        self._throttled = Counter(
            "authz_throttled",
            "Requests refused because their network sent too many.",
            ("endpoint",),
            registry=registry,
        )
        self._credentials = Counter(
            "authz_credentials",
            "Checks with credentials of the request's own, by their kind.",
            ("kind", "outcome"),
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
        self._routes_refused = Gauge(
            "authz_routes_refused",
            "Routes that refuse everything, because they or their policies are broken.",
            registry=registry,
        )
        self._near = _Near()
        registry.register(self._near)
        self._tables = _Tables()
        registry.register(self._tables)
        Gauge("authz_build_info", "Versions.", ("version", "python"), registry=registry).labels(
            version, platform.python_version()
        ).set(1)

    def checks(self, *, adapter: str, decision: str, status: int) -> Tally:
        """Of one kind of check: `add` counts one, and the seconds that it took."""
        return self._checks.tally(adapter, decision, status)

    def sign_in(self, *, provider: str, outcome: str) -> None:
        self._sign_ins.labels(provider, outcome).inc()

    def throttled(self, *, endpoint: str) -> None:
        self._throttled.labels(endpoint).inc()

    def credential(self, *, kind: str, outcome: str) -> None:
        self._credentials.labels(kind, outcome).inc()

    def store_error(self) -> None:
        self._store_errors.inc()

    def refusal(self, *, listener: str, status: int) -> None:
        self._refusals.labels(listener, str(status)).inc()

    def loaded(self, *, generation: int, at: float, routes: int, refused: int) -> None:
        self._generation.set(generation)
        self._loaded_at.set(at)
        self._routes.set(routes)
        self._routes_refused.set(refused)
        self._reload_ok.set(1)

    def reload_failed(self) -> None:
        self._reload_ok.set(0)

    def near_cache(self, cache: NearCache) -> None:
        """The one whose state is told from now on."""
        self._near.cache = cache

    def tables(self, tables: Mapping[str, Table]) -> None:
        """Those whose state is told from now on."""
        self._tables.tables = tables

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


_SHORTEST = _BUCKETS[0]


class _Durations:
    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0


class Tally:
    """Added to far more often than anything else is, so without locks: there is one thread that
    adds and reports."""

    __slots__ = ("_durations", "count")

    def __init__(self, durations: _Durations) -> None:
        self.count = 0
        self._durations = durations

    def add(self, seconds: float) -> None:
        durations = self._durations
        self.count += 1
        durations.seconds += seconds
        # Most are answered from memory.
        durations.buckets[bisect_left(_BUCKETS, seconds) if seconds > _SHORTEST else 0] += 1


class _Checks(Collector):
    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, int], Tally] = {}
        self._durations: dict[str, _Durations] = {}

    def tally(self, adapter: str, decision: str, status: int) -> Tally:
        key = adapter, decision, status
        tally = self._tallies.get(key)
        if tally is None:
            durations = self._durations.setdefault(adapter, _Durations())
            tally = self._tallies[key] = Tally(durations)
        return tally

    def collect(self) -> Iterable[Metric]:
        checks = CounterMetricFamily(
            "authz_checks", "Checks answered.", labels=("adapter", "decision", "status")
        )
        for (adapter, decision, status), tally in self._tallies.items():
            checks.add_metric((adapter, decision, str(status)), tally.count)
        yield checks
        durations = HistogramMetricFamily(
            "authz_check_duration_seconds", "How long a check took.", labels=("adapter",)
        )
        bounds = (*map(str, _BUCKETS), "+Inf")
        for adapter, each in self._durations.items():
            buckets = list(zip(bounds, map(float, accumulate(each.buckets)), strict=True))
            durations.add_metric((adapter,), buckets, each.seconds)
        yield durations


class _Near(Collector):
    """Asked, not told."""

    def __init__(self) -> None:
        self.cache: NearCache | None = None

    def collect(self) -> Iterable[Metric]:
        cache = self.cache
        counts = cache.counts if cache else None
        lookups = CounterMetricFamily(
            "authz_near_cache_lookups",
            "Sessions looked for, by where they were found.",
            labels=("from",),
        )
        for source, name in (("memory", "hits"), ("store", "misses"), ("grace", "graced")):
            lookups.add_metric((source,), getattr(counts, name, 0))
        yield lookups
        for name, text in (
            ("invalidations", "Sessions dropped because the store told of a change."),
            ("evictions", "Sessions dropped to make room for others."),
            ("losses", "Times that the store's changes could not be heard any more."),
            ("touches", "Last uses written to the store."),
        ):
            yield CounterMetricFamily(
                f"authz_near_cache_{name}", text, value=getattr(counts, name, 0)
            )
        for name, text in (
            ("entries", "Sessions in memory, in all workers."),
            ("bytes", "The memory they take, as estimated, in all workers."),
            ("coherent", "Workers that hear of every change and may answer from memory."),
            ("refused", "Workers whose store does not tell of changes: they keep no session."),
        ):
            yield GaugeMetricFamily(f"authz_near_cache_{name}", text, value=getattr(cache, name, 0))


class _Tables(Collector):
    """Asked, not told."""

    def __init__(self) -> None:
        self.tables: Mapping[str, Table] = {}

    def collect(self) -> Iterable[Metric]:
        known = GaugeMetricFamily(
            "authz_record_tables_known",
            "Workers that know a table of records in Redis; rules about it refuse in the others.",
            labels=("table",),
        )
        for name, table in self.tables.items():
            known.add_metric((name,), int(table.now() is not None))
        yield known


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
