"""What one process is told as it happens, and the registry that all counts are in."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from authz_sidecar.observe.metrics.check_metrics import Checks
from authz_sidecar.observe.metrics.collectors import Near, Tables, Workers
from authz_sidecar.observe.metrics.exposition import report_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_sidecar.observe.metrics.check_metrics import Tally
    from authz_sidecar.observe.metrics.collectors import NearCache, Table, Worker
    from authz_sidecar.observe.snapshot import Report


class Metrics:
    """What this process counts, in a registry of its own."""

    def __init__(self, *, version: str, process: bool = True) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=False)
        if process:
            ProcessCollector(registry=registry)
        self._checks = Checks()
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
        self._near = Near()
        registry.register(self._near)
        self._tables = Tables()
        registry.register(self._tables)
        self._workers = Workers()
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

    def wanted(self, *, generation: int) -> None:
        self._wanted.set(generation)
        self._reload_ok.set(1)

    def reload_failed(self) -> None:
        self._reload_ok.set(0)

    def near_cache(self, cache: NearCache) -> None:
        """The one whose state is told from now on."""
        self._near.cache = cache

    def tables(self, tables: Mapping[str, Table]) -> None:
        """Those whose state is told from now on."""
        self._tables.tables = tables

    def workers(self, workers: Callable[[], Iterable[Worker]]) -> None:
        """Who tells of each worker from now on."""
        self._workers.workers = workers

    def worker_restart(self, reason: str) -> None:
        """`reason` is `died`, `hung`, `lagging` or `not-started`."""
        self._restarts.labels(reason).inc()

    def report(self) -> Report:
        return report_of(self._registry)
