"""What counts by itself and is asked, not told, when somebody reads the page: the near cache of
sessions, the tables of records and the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class NearCacheStats(Protocol):
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
    def stats(self) -> NearCacheStats: ...
    @property
    def entries(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def coherent(self) -> bool: ...
    @property
    def refused(self) -> bool: ...


class PolledTable(Protocol):
    def current(self) -> object | None: ...


class MonitoredWorker(Protocol):
    """`generation` is that of the configuration that it answers by; 0 while it does not run."""

    @property
    def worker(self) -> int: ...
    @property
    def answering(self) -> bool: ...
    @property
    def generation(self) -> int: ...
    @property
    def lagging(self) -> bool: ...


class NearCacheCollector(Collector):
    def __init__(self) -> None:
        self.cache: NearCache | None = None

    def collect(self) -> Iterable[Metric]:
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
            ("invalidations", "Sessions dropped because the store told of a change."),
            ("evictions", "Sessions dropped to make room for others."),
            ("losses", "Times that the store's changes could not be heard any more."),
            ("touches", "Last uses written to the store."),
        ):
            yield CounterMetricFamily(
                f"authz_near_cache_{name}", text, value=getattr(stats, name, 0)
            )
        for name, text in (
            ("entries", "Sessions in memory, in all workers."),
            ("bytes", "The memory they take, as estimated, in all workers."),
            ("coherent", "Workers that hear of every change and may answer from memory."),
            ("refused", "Workers whose store does not tell of changes: they keep no session."),
        ):
            yield GaugeMetricFamily(f"authz_near_cache_{name}", text, value=getattr(cache, name, 0))


class RecordTableCollector(Collector):
    def __init__(self) -> None:
        self.tables: Mapping[str, PolledTable] = {}

    def collect(self) -> Iterable[Metric]:
        known = GaugeMetricFamily(
            "authz_record_tables_known",
            "Workers that know a table of records in Redis; rules about it refuse in the others.",
            labels=("table",),
        )
        for name, table in self.tables.items():
            known.add_metric((name,), int(table.current() is not None))
        yield known


class WorkerCollector(Collector):
    """Of the process that knows all of them; the gauges of the others are not added up."""

    def __init__(self) -> None:
        self.workers: Callable[[], Iterable[MonitoredWorker]] = tuple

    def collect(self) -> Iterable[Metric]:
        workers = tuple(self.workers())
        for name, text, count in (
            ("configured", "Workers that there are to be.", len(workers)),
            (
                "answering",
                "Workers that answer checks.",
                sum(each.answering for each in workers),
            ),
            (
                "lagging",
                "Workers that answer by another generation of the configuration than the wanted one.",
                sum(each.lagging for each in workers),
            ),
        ):
            yield GaugeMetricFamily(f"authz_workers_{name}", text, value=count)
        generations = GaugeMetricFamily(
            "authz_worker_config_generation",
            "The generation of the configuration that a worker answers by; 0 while it does not run.",
            labels=("worker",),
        )
        for each in workers:
            generations.add_metric((str(each.worker),), each.generation)
        yield generations
