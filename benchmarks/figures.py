"""Which figures of a run are shown as which plot. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.plots import Bar, Group, plot

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS = frozenset({"lane", "framework"})
PROXIES = {"through nginx": "through nginx", "through envoy": "through Envoy"}
DIRECT = "asked directly"


def plots(results: Mapping[str, Any]) -> dict[str, str]:
    """SVG by the name of its file."""
    connections = results["settings"]["connections"]
    settings = f"one core for the service, {connections} kept-alive connections"
    proxied = [_throughput(results, what, label) for what, label in PROXIES.items()]
    everywhere = {"checks": DIRECT, **PROXIES}
    return {
        "checks": plot(
            "Checks per second",
            settings,
            [
                _throughput(results, "checks", "under load", alone=True),
                _of_a_core(results, "checks", "for each second of the service's core"),
            ],
        ),
        "proxies": plot(
            "Requests per second through a proxy, by the auth service behind it",
            f"{settings}; proxy and load share the other",
            proxied,
        ),
        "latency": plot(
            "99th percentile of the latency, in milliseconds",
            f"under full load, {connections} connections: less is better",
            [_latency(results, what, label) for what, label in everywhere.items()],
        ),
        "growth": plot(
            "Growth: checks per second",
            "each pair has its own scale",
            [
                _throughput(results, "routes", "from memory", alone=True, all_ours=True),
                _throughput(
                    results, "misses", "every session from Redis", alone=True, all_ours=True
                ),
            ],
        ),
    }


def _throughput(
    results: Mapping[str, Any],
    what: str,
    label: str,
    *,
    alone: bool = False,
    all_ours: bool = False,
) -> Group:
    return Group(
        label=label,
        alone=alone,
        bars=tuple(
            Bar(
                label=run["service"],
                value=run["per_second"],
                shown=f"{run['per_second']:,.0f}",
                ours=all_ours or run["service"] in OURS,
                low=min(run["rounds_per_second"]),
                high=max(run["rounds_per_second"]),
            )
            for run in results["runs"]
            if run["what"] == what
        ),
    )


def _of_a_core(results: Mapping[str, Any], what: str, label: str) -> Group:
    return Group(
        label=label,
        alone=True,
        bars=tuple(
            Bar(
                label=run["service"],
                value=run["per_cpu_second"],
                shown=f"{run['per_cpu_second']:,.0f}",
                ours=run["service"] in OURS,
            )
            for run in results["runs"]
            if run["what"] == what and run["per_cpu_second"]
        ),
    )


def _latency(results: Mapping[str, Any], what: str, label: str) -> Group:
    return Group(
        label=label,
        bars=tuple(
            Bar(
                label=run["service"],
                value=run["p99_ms"],
                shown=f"{run['p99_ms']:.2f}",
                ours=run["service"] in OURS,
            )
            for run in results["runs"]
            if run["what"] == what
        ),
    )
