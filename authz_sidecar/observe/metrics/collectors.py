"""Collectors that read counters at scrape time: the session cache, the record tables and the
workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class NearCacheStats(Protocol):
    """The cache's own counters: a check from memory is too fast for a `Counter`."""

    hits: int
    misses: int
    graced: int
    invalidations: int
    evictions: int
    losses: int
    touches: int


class NearCache(Protocol):
    """The session cache of a process."""

    @property
    def stats(self) -> NearCacheStats:
        """Its counters."""

    @property
    def entries(self) -> int:
        """The number of sessions in memory."""

    @property
    def bytes(self) -> int:
        """Their estimated memory in bytes."""

    @property
    def coherent(self) -> bool:
        """Whether every change in the store is received."""

    @property
    def refused(self) -> bool:
        """Whether the store does not support invalidation."""


class PolledTable(Protocol):
    """A record table that is polled."""

    def current(self) -> object | None:
        """Return the table; None when it is not known."""


class MonitoredWorker(Protocol):
    """The state of a worker process."""

    @property
    def worker(self) -> int:
        """Its number."""

    @property
    def answering(self) -> bool:
        """Whether it answers checks."""

    @property
    def generation(self) -> int:
        """The generation of its configuration; 0 while it does not run."""

    @property
    def lagging(self) -> bool:
        """Whether it has another generation than the wanted one."""


class NearCacheCollector(Collector):
    """The collector of the session cache."""

    def __init__(self) -> None:
        self.cache: NearCache | None = None

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics `authz_near_cache_*`, all 0 without a cache."""
        cache = self.cache
        stats = cache.stats if cache else None
        lookups = CounterMetricFamily(
            "authz_near_cache_lookups",
            "Sessions looked for, by where they were found.",
            labels=("from",),
        )
        for source, name in (("memory", "hits"), ("store", "misses"), ("grace", "graced")):
            lookups.add_metric((source,), getattr(stats, name, 0))
        yield lookups
        for name, text in (
            ("invalidations", "Sessions dropped because they changed in the store."),
            ("evictions", "Sessions dropped to make room for others."),
            ("losses", "Times that the connection for changes in the store was lost."),
            ("touches", "Last uses written to the store."),
        ):
            yield CounterMetricFamily(
                f"authz_near_cache_{name}", text, value=getattr(stats, name, 0)
            )
        for name, text in (
            ("entries", "Sessions in memory, in all workers."),
            ("bytes", "The memory they take, as estimated, in all workers."),
            ("coherent", "Workers that receive every change and may answer from memory."),
            ("refused", "Workers whose store does not support invalidation: they keep no session."),
        ):
            yield GaugeMetricFamily(f"authz_near_cache_{name}", text, value=getattr(cache, name, 0))


class RecordTableCollector(Collector):
    """The collector of the record tables."""

    def __init__(self) -> None:
        self.tables: Mapping[str, PolledTable] = {}

    def collect(self) -> Iterable[Metric]:
        """Yield the metric `authz_record_tables_known`."""
        loaded = GaugeMetricFamily(
            "authz_record_tables_known",
            "Workers that know a table of records in Redis; rules about it refuse in the others.",
            labels=("table",),
        )
        for name, table in self.tables.items():
            loaded.add_metric((name,), int(table.current() is not None))
        yield loaded


class WorkerCollector(Collector):
    """The collector of the workers, in the process that knows all of them."""

    def __init__(self) -> None:
        self.workers: Callable[[], Iterable[MonitoredWorker]] = tuple

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics `authz_workers_*` and `authz_worker_config_generation`."""
        workers = tuple(self.workers())
        for name, text, count in (
            ("configured", "Workers that there are to be.", len(workers)),
            (
                "answering",
                "Workers that answer checks.",
                sum(worker.answering for worker in workers),
            ),
            (
                "lagging",
                "Workers that answer by another generation of the configuration than the wanted one.",
                sum(worker.lagging for worker in workers),
            ),
        ):
            yield GaugeMetricFamily(f"authz_workers_{name}", text, value=count)
        generations = GaugeMetricFamily(
            "authz_worker_config_generation",
            "The generation of the configuration that a worker answers by; 0 while it does not run.",
            labels=("worker",),
        )
        for worker in workers:
            generations.add_metric((str(worker.worker),), worker.generation)
        yield generations
