"""Counters and histogram of checks. Counted far more often than anything else, so without the locks
of a `Counter`: a single thread counts and collects."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

# From 0.1 ms, a response from memory, to the timeout of a proxy.
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
_SMALLEST_BUCKET = _BUCKETS[0]


class _DurationHistogram:
    __slots__ = ("buckets", "sum_seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.sum_seconds = 0.0


class CheckCounter:
    """The counter of checks with the same adapter, decision and status."""

    __slots__ = ("_durations", "count")

    def __init__(self, durations: _DurationHistogram) -> None:
        self.count = 0
        self._durations = durations

    def observe(self, seconds: float) -> None:
        """Count one check that took `seconds`."""
        durations = self._durations
        self.count += 1
        durations.sum_seconds += seconds
        # Most checks are answered from memory.
        durations.buckets[bisect_left(_BUCKETS, seconds) if seconds > _SMALLEST_BUCKET else 0] += 1


class CheckMetrics(Collector):
    """The collector of all check counters."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str, int], CheckCounter] = {}
        self._durations: dict[str, _DurationHistogram] = {}

    def counter(self, adapter: str, decision: str, status: int) -> CheckCounter:
        """Return the counter for these labels."""
        key = adapter, decision, status
        counter = self._counters.get(key)
        if counter is None:
            durations = self._durations.setdefault(adapter, _DurationHistogram())
            counter = self._counters[key] = CheckCounter(durations)
        return counter

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics `authz_checks` and `authz_check_duration_seconds`."""
        checks = CounterMetricFamily(
            "authz_checks", "Checks answered.", labels=("adapter", "decision", "status")
        )
        for (adapter, decision, status), counter in self._counters.items():
            checks.add_metric((adapter, decision, str(status)), counter.count)
        yield checks
        durations = HistogramMetricFamily(
            "authz_check_duration_seconds", "How long a check took.", labels=("adapter",)
        )
        bounds = (*map(str, _BUCKETS), "+Inf")
        for adapter, histogram in self._durations.items():
            buckets = list(zip(bounds, map(float, accumulate(histogram.buckets)), strict=True))
            durations.add_metric((adapter,), buckets, histogram.sum_seconds)
        yield durations
