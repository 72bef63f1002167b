"""What counts by itself and is asked, not told, when somebody reads the page: the near cache of
sessions and the tables of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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


class Near(Collector):
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


class Tables(Collector):
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
