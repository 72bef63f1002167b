"""`make bench-report`: `docs/performance.md` and its plots, from what `make bench` measured last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.capacity import Assumptions, Measurements, markdown_table, plan_capacity
from benchmarks.figures import render_plots
from benchmarks.results import LATEST
from benchmarks.targets import (
    GROWTH_CLAIMS,
    MEMORY_CLAIMS,
    SPEED_CLAIMS,
    Verdict,
    evaluate_claims,
    policy_claims,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.targets import Claim, TargetResult

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
MAX_QUIET_SLOWDOWN = 1.15
"""How much longer than at its best a loop may take on a machine that is said to be quiet."""

Results = dict[str, Any]


def render_page(results: Results) -> str:
    return "\n".join(_render_lines(results)) + "\n"


def _render_lines(results: Results) -> Iterator[str]:
    figures = {**results["ratios"], **results["memory"], **results["policy"]}
    routes = results["settings"]["routes"]
    policies = policy_claims(routes)
    every = [*evaluate_claims((*SPEED_CLAIMS, *GROWTH_CLAIMS, *MEMORY_CLAIMS, *policies), figures)]
    yield "# Performance"
    yield ""
    yield "<!-- Written by `make bench-report` from benchmarks/results/latest.json: do not edit. -->"
    yield ""
    yield (
        "Everything here was measured in one run of `make bench`, on loopback, side by side: the"
        " ratios are the result,\nthe figures per second are those of one machine."
        f" {_summary(every)}"
    )
    yield ""
    yield from _machine(results)
    yield ""
    yield "## Checks on one core"
    yield ""
    yield from _checks(results)
    yield ""
    yield from _claims(SPEED_CLAIMS, results["ratios"])
    yield ""
    yield from _growth(results)
    yield ""
    yield "## Memory"
    yield ""
    yield from _claims(MEMORY_CLAIMS, results["memory"])
    yield ""
    yield from _memory(results["memory"])
    yield ""
    yield "## Routes and policies"
    yield ""
    yield "`make bench-policy` measures these alone."
    yield ""
    yield from _claims(policies, results["policy"])
    yield ""
    yield from _steps(results["micro"])
    yield ""
    yield from _capacity(results)
    yield ""
    yield from _method(results)


def _summary(every: Sequence[TargetResult]) -> str:
    met = sum(each.verdict is Verdict.MET for each in every)
    missed = [each.text for each in every if each.verdict is Verdict.MISSED]
    unknown = [each.text for each in every if each.verdict is Verdict.NOT_MEASURED]
    sentences = [f"{met} of {met + len(missed) + len(unknown)} targets are met."]
    if missed:
        sentences.append(f"Not met: {'; '.join(missed)}.")
    if unknown:
        sentences.append(f"Not measured: {'; '.join(unknown)}.")
    return "\n".join(sentences)


def _machine(results: Results) -> Iterator[str]:
    machine, settings = results["machine"], results["settings"]
    yield f"- **Machine**: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB."
    yield f"- **Versions**: {', '.join(f'{k} {v}' for k, v in results['versions'].items())}."
    yield (
        f"- **Run**: {results['at']}, {settings['rounds']} rounds of {settings['seconds']:g} s,"
        f" {settings['connections']} connections, {settings['took_seconds']} s in all."
    )
    busy = max(machine["busy_before"], machine["busy_after"])
    if busy > MAX_QUIET_SLOWDOWN:
        yield (
            f"- **The machine was not quiet**: a loop took {busy:.2f} times as long as at its best."
            " Figures per second and p99s are\n  those of a shared machine; ratios of the same round"
            " and figures per second of processor time suffer less."
        )
    for part, reason in results["failed"].items():
        yield f"- **Not measured**: {part} ({reason.splitlines()[0]})."


def _checks(results: Results) -> Iterator[str]:
    yield (
        "Each service has one core; wrk, Redis and the proxy have the other. The sidecar has three"
        " routes with a policy of ten\ncriteria and a hundred sessions in Redis; *lane* is how it is"
        " shipped, *framework* the same with\n`server.fast_lane: false`. Both are without log lines"
        " for checks, as nginx is without its access log; the lane is shown\nwith them, too, as they"
        " are by default. *plain FastAPI* is an endpoint that says yes to everybody."
    )
    for name, what in (
        ("checks", "Checks per second"),
        ("proxies", "Requests per second through a proxy"),
        ("latency", "99th percentile of the latency"),
    ):
        yield ""
        yield f"![{what}](performance/{name}.svg)"
    yield ""
    yield "| | service | per second | per second of its core | of a core | p50 | p99 |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for run in results["runs"]:
        own = f"{run['per_cpu_second']:,.0f}" if run["per_cpu_second"] else "-"
        share = f"{run['core_share']:.0%}" if run["core_share"] else "-"
        refused = run["refused_share"]
        name = run["service"] + (f" ({refused:.0%} refused)" if refused else "")
        yield (
            f"| {run['what']} | {name} | {run['per_second']:,.0f} | {own} | {share}"
            f" | {run['p50_ms']:.2f} ms | {run['p99_ms']:.2f} ms |"
        )
    yield ""
    yield (
        "Where a service had much less than a whole core, something else was the bottleneck: the load"
        " generator, or the proxy.\nThe second column of ratios compares what each does with a second"
        " of its core, which knows no such limit."
    )


def _claims(claims: Sequence[Claim], figures: Mapping[str, Any]) -> Iterator[str]:
    per_core = any(f"{claim.name}_per_cpu_second" in figures for claim in claims)
    yield f"| | measured |{' per second of a core |' if per_core else ''} target | |"
    yield f"|---|--:|{'--:|' if per_core else ''}--:|---|"
    for claim, each in zip(claims, evaluate_claims(claims, figures), strict=True):
        own = figures.get(f"{claim.name}_per_cpu_second")
        more = f" {'-' if own is None else claim.format_value(own)} |" if per_core else ""
        yield f"| {each.text} | {each.value_text} |{more} {each.target} | {each.verdict.value} |"


def _growth(results: Results) -> Iterator[str]:
    settings = results["settings"]
    share = results["memory"].get("share_from_memory_on_the_miss_path")
    yield "## Growth, misses, revocation"
    yield ""
    yield (
        f"All routes are {settings['routes']:,}, all sessions {settings['sessions']:,}. For misses the"
        " near cache has room for 64 sessions, and no two of 6,000\nquestions are alike, so that nearly"
        " every check asks Redis"
        + ("" if share is None else f" ({share:.1%} were still answered from memory)")
        + ".\nA revocation is timed from the beginning of the sign-out until the last of the"
        " connections to two replicas with two\nworkers each is refused."
    )
    yield ""
    yield "![Growth](performance/growth.svg)"
    yield ""
    yield from _claims(GROWTH_CLAIMS, results["ratios"])


def _memory(memory: Mapping[str, Any]) -> Iterator[str]:
    kinds = memory.get("redis_bytes_by_kind")
    if kinds is None:
        return
    yield (
        "A session in Redis has the claims of a typical ID token and a provider session. Its bytes"
        " by what they are for:"
    )
    yield ""
    yield f"| {' | '.join(kinds)} |"
    yield f"|{'--:|' * len(kinds)}"
    yield f"| {' | '.join(f'{size:,}' for size in kinds.values())} |"


def _steps(micro: Mapping[str, float]) -> Iterator[str]:
    yield "## The steps of a check"
    yield ""
    yield "The best rounds of `make bench-micro`, in one process and with warm caches."
    yield ""
    yield "| step | µs |"
    yield "|---|--:|"
    for name, value in sorted(micro.items(), key=lambda item: item[1]):
        yield f"| {name} | {value:,.2f} |"


def _capacity(results: Results) -> Iterator[str]:
    assumptions = Assumptions()
    yield f"## {assumptions.sessions:,} sessions, {assumptions.checks_per_second:,} checks a second"
    yield ""
    yield (
        "Worked out by [`benchmarks/capacity.py`](../benchmarks/capacity.py) from the figures above,"
        " not measured. Near caches are as large as\nassumed here only where `sessions.near_cache`"
        " says so. The proxies send a session's checks to one replica where they choose it\nby the"
        " session's cookie (in nginx `hash $cookie___Host-authz consistent` in the `upstream`);"
        " otherwise every worker\nmeets every session, asks Redis about it and writes its last use."
    )
    yield ""
    try:
        measured = Measurements.from_results(results)
        plans = tuple(
            plan_capacity(measured, assumptions, sticky=sticky) for sticky in (True, False)
        )
    except (LookupError, ArithmeticError) as error:
        yield f"Not worked out: {error}."
        return
    yield from markdown_table(plans, assumptions)
    yield ""
    yield (
        f"Measured: {measured.checks_per_core:,.0f} checks from memory and"
        f" {measured.misses_per_core:,.0f} misses a second on a core,"
        f" {measured.kib_per_cached_session:g} KiB for a session in a worker, {measured.redis_bytes:,} bytes in"
        f" Redis, of which its record {measured.record_bytes:g}; hearing of a change takes"
        f" {measured.invalidation_bytes:g} bytes and {measured.invalidation_seconds * 1e6:.0f} µs of a core."
    )
    yield ""
    yield (
        f"Assumed: {assumptions.active_share:.0%} of the sessions are in use and asked about equally often;"
        f" they live {assumptions.lifetime_hours:g} hours and are refreshed"
        f" {assumptions.refreshes_per_hour:g} time an hour; a worker writes a session's last use at most"
        f" every {assumptions.last_use_seconds:g} s; {assumptions.near_cache_gib:g} GiB of near cache for each"
        f" worker; cores and Redis are filled to {assumptions.max_utilization:.0%}; a primary does"
        f" {assumptions.redis_commands_per_second:,.0f} commands a second and holds"
        f" {assumptions.redis_gib:g} GiB, with {assumptions.redis_slack - 1:.0%} for fragmentation;"
        f" {assumptions.commands_per_miss} commands for a miss, {assumptions.commands_per_change} for a birth,"
        " an end or a refresh."
    )


def _method(results: Results) -> Iterator[str]:
    yield "## How it is measured"
    yield ""
    yield (
        "`make bench` starts everything itself and takes about ten minutes on two cores;"
        " `make bench-report` then writes this page.\nServices under comparison run at the same time"
        " and are loaded in turn, round after round; ratios are taken within a round,\nand the"
        " median of the rounds is told. In the plots the bar is the median, the line the range."
        ' `ARGS="--seconds 1 --rounds 2"`\nmakes it short, `ARGS="--only services"` takes one part.'
    )
    yield ""
    yield (
        "`AUTHZ_BENCH_PEER=name=http://127.0.0.1:4180/path` adds a forward-auth service that is"
        " already running to the first\ncomparison (several are separated by spaces;"
        " `AUTHZ_BENCH_PEER_COOKIE` is the `Cookie` it is sent). It keeps the cores it\nwas started"
        " with."
    )
    if results["settings"]["sessions"] < 1_000_000 or results["settings"]["routes"] < 100_000:
        yield ""
        yield "This run was a short one: fewer sessions or routes than the targets are about."


def main() -> None:
    results = json.loads(LATEST.read_text())
    PLOTS.mkdir(exist_ok=True)
    for name, svg in render_plots(results).items():
        (PLOTS / f"{name}.svg").write_text(svg)
    PAGE.write_text(render_page(results))
    print(f"{PAGE.relative_to(ROOT)} and {PLOTS.relative_to(ROOT)}/*.svg are written")


if __name__ == "__main__":
    main()
