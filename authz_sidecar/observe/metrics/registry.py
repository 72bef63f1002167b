"""The metrics of one process and their registry."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from authz_sidecar.observe.metrics.check_metrics import CheckMetrics
from authz_sidecar.observe.metrics.collectors import (
    NearCacheCollector,
    RecordTableCollector,
    WorkerCollector,
)
from authz_sidecar.observe.metrics.exposition import collect_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_sidecar.observe.metrics.check_metrics import CheckCounter
    from authz_sidecar.observe.metrics.collectors import MonitoredWorker, NearCache, PolledTable
    from authz_sidecar.observe.snapshot import MetricsSnapshot


class Metrics:
    """The metrics of this process, in a registry of its own."""

    def __init__(self, *, version: str, with_process_metrics: bool = True) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=False)
        if with_process_metrics:
            ProcessCollector(registry=registry)
        self._checks = CheckMetrics()
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
            "The generation of the configuration that every worker answers by.",
            registry=registry,
        )
        self._wanted = Gauge(
            "authz_config_generation_wanted",
            "The generation of the newest usable configuration, which every worker is to answer by.",
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
        self._near_cache = NearCacheCollector()
        registry.register(self._near_cache)
        self._record_tables = RecordTableCollector()
        registry.register(self._record_tables)
        self._workers = WorkerCollector()
        registry.register(self._workers)
        self._restarts = Counter(
            "authz_worker_restarts",
            "Workers that had to be started again, or could not be, without an operator's request.",
            ("reason",),
            registry=registry,
        )
        Gauge("authz_build_info", "Versions.", ("version", "python"), registry=registry).labels(
            version, platform.python_version()
        ).set(1)

    def check_counter(self, *, adapter: str, decision: str, status: int) -> CheckCounter:
        """Return the counter of checks with these labels."""
        return self._checks.counter(adapter, decision, status)

    def count_sign_in(self, *, provider: str, outcome: str) -> None:
        """Count a sign-in by its outcome."""
        self._sign_ins.labels(provider, outcome).inc()

    def count_throttled(self, *, endpoint: str) -> None:
        """Count a request above the rate limit."""
        self._throttled.labels(endpoint).inc()

    def count_credentials(self, *, kind: str, outcome: str) -> None:
        """Count a check with credentials in `Authorization`."""
        self._credentials.labels(kind, outcome).inc()

    def count_store_error(self) -> None:
        """Count a failed call to the session store."""
        self._store_errors.inc()

    def count_refused_connection(self, *, listener: str, status: int) -> None:
        """Count a request that the server refused before any application."""
        self._refusals.labels(listener, str(status)).inc()

    def set_loaded(
        self, *, generation: int, loaded_at: float, routes: int, refused_routes: int
    ) -> None:
        """Set the generation that every worker has loaded; `loaded_at` is in Unix seconds."""
        self._generation.set(generation)
        self._loaded_at.set(loaded_at)
        self._routes.set(routes)
        self._routes_refused.set(refused_routes)

    def set_target_generation(self, *, generation: int) -> None:
        """Set the generation that every worker is to load, after a successful reload."""
        self._wanted.set(generation)
        self._reload_ok.set(1)

    def set_reload_failed(self) -> None:
        """Record that the last reload failed."""
        self._reload_ok.set(0)

    def track_near_cache(self, cache: NearCache) -> None:
        """Report this session cache from now on."""
        self._near_cache.cache = cache

    def track_record_tables(self, tables: Mapping[str, PolledTable]) -> None:
        """Report these record tables from now on."""
        self._record_tables.tables = tables

    def track_workers(self, workers: Callable[[], Iterable[MonitoredWorker]]) -> None:
        """Report the workers that `workers` returns from now on."""
        self._workers.workers = workers

    def count_worker_restart(self, reason: str) -> None:
        """Count a restart; `reason` is `died`, `hung`, `lagging` or `not-started`."""
        self._restarts.labels(reason).inc()

    def snapshot(self) -> MetricsSnapshot:
        """Return the current values of all metrics."""
        return collect_snapshot(self._registry)
