"""Which figures of a run are shown as which plot. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.plots import Bar, Group, render_plot

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN_SERVICES = frozenset({"lane", "framework"})
PROXIES = {"through nginx": "through nginx", "through envoy": "through Envoy"}
DIRECT = "asked directly"


def render_plots(results: Mapping[str, Any]) -> dict[str, str]:
    """SVG by the name of its file."""
    connections = results["settings"]["connections"]
    settings = f"one core for the service, {connections} kept-alive connections"
    proxied = [_throughput(results, what, label) for what, label in PROXIES.items()]
    everywhere = {"checks": DIRECT, **PROXIES}
    return {
        "checks": render_plot(
            "Checks per second",
            settings,
            [
                _throughput(results, "checks", "under load", has_own_scale=True),
                _per_core_second(results, "checks", "for each second of the service's core"),
            ],
        ),
        "proxies": render_plot(
            "Requests per second through a proxy, by the auth service behind it",
            f"{settings}; proxy and load share the other",
            proxied,
        ),
        "latency": render_plot(
            "99th percentile of the latency, in milliseconds",
            f"under full load, {connections} connections: less is better",
            [_latency(results, what, label) for what, label in everywhere.items()],
        ),
        "growth": render_plot(
            "Growth: checks per second",
            "each pair has its own scale",
            [
                _throughput(results, "routes", "from memory", has_own_scale=True, all_own=True),
                _throughput(
                    results, "misses", "every session from Redis", has_own_scale=True, all_own=True
                ),
            ],
        ),
    }


def _throughput(
    results: Mapping[str, Any],
    what: str,
    label: str,
    *,
    has_own_scale: bool = False,
    all_own: bool = False,
) -> Group:
    return Group(
        label=label,
        has_own_scale=has_own_scale,
        bars=tuple(
            Bar(
                label=run["service"],
                value=run["per_second"],
                value_text=f"{run['per_second']:,.0f}",
                is_own=all_own or run["service"] in OWN_SERVICES,
                low=min(run["rounds_per_second"]),
                high=max(run["rounds_per_second"]),
            )
            for run in results["runs"]
            if run["what"] == what
        ),
    )


def _per_core_second(results: Mapping[str, Any], what: str, label: str) -> Group:
    return Group(
        label=label,
        has_own_scale=True,
        bars=tuple(
            Bar(
                label=run["service"],
                value=run["per_cpu_second"],
                value_text=f"{run['per_cpu_second']:,.0f}",
                is_own=run["service"] in OWN_SERVICES,
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
                value_text=f"{run['p99_ms']:.2f}",
                is_own=run["service"] in OWN_SERVICES,
            )
            for run in results["runs"]
            if run["what"] == what
        ),
    )
