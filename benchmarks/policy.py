"""What routes and policies cost, as claimed in the README: `make bench-policy`.

Prints a table; figures are the best of several runs in one process, ratios are between figures of
the same run. Loading is measured in processes of their own, with the memory that stays, as time on
the processor: others may be busy too.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.config.load import load
from authz_sidecar.core.positions import unplaced
from authz_sidecar.core.types import CheckRequest, Identity
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy import compile_policy, decide
from authz_sidecar.policy.specialise import specialise
from authz_sidecar.ruleset import ruleset

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.routes import RouteIndex

FEW, MANY = 10, 100_000
LOADED = (10_000, 100_000)
NOW = 1_700_000_000.0
ALICE = Identity(
    provider="corp",
    issuer="https://idp.example.com",
    subject="u1",
    email="alice@example.com",
    groups=("eng", "ops"),
    claims={"department": "it", "groups": ["eng", "ops"]},
)

HEAD = """\
secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]
sessions: {store: "memory://"}
identity_providers: {corp: {issuer: https://idp.example.com, client_id: authz}}
policies:
  engineers:
    - allow: {and: [{domain: {is: example.com}}, {groups: {has: eng}}]}
    - deny: {or: [{http_path: {starts_with: /forbidden}}]}
routes:
"""
ROUTE = """\
  - name: app{n}
    from: https://app{n}.example.com
    prefix: /team{n}
    policies: [engineers]
    policy:
      - allow: {{or: [{{email: {{is: ops{n}@example.com}}}}]}}
"""
TEN = [
    {
        "allow": {
            "and": [
                {"domain": {"is": "example.com"}},
                {"groups": {"has": "eng"}},
                {"claim/department": "it"},
                {"email": {"ends_with": "@example.com"}},
                {"http_method": {"in": ["GET", "HEAD"]}},
                {"http_path": {"starts_with": "/team"}},
                {"authenticated_user": True},
            ]
        }
    },
    {
        "deny": {
            "or": [
                {"http_path": {"contains": "/.git"}},
                {"user": {"in": ["mallory", "eve"]}},
                {"email": {"starts_with": "intern-"}},
            ]
        }
    },
]


def configuration(directory: Path, routes: int) -> Path:
    path = directory / f"{routes}.yaml"
    path.write_text(HEAD + "".join(ROUTE.format(n=n) for n in range(routes)))
    return path


def request(n: int) -> CheckRequest:
    origin = Origin("https", f"app{n}.example.com")
    return CheckRequest(adapter="nginx", method="GET", origin=origin, path=f"/team{n}/page/7")


def per_call(call: Callable[[], object], calls: int, *, runs: int = 7) -> float:
    """Microseconds of one of `calls` calls: the best of several runs."""
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best / calls * 1e6


def matching(index: RouteIndex, routes: int, *, hosts: int = FEW) -> float:
    """Match and decide, over requests to some hosts all over the configuration. With many of them
    the processor's own caches no longer hold what is needed, which is no matter of the index."""
    requests = [request(n % hosts * (routes // hosts)) for n in range(1000)]
    ready = {
        route.name: specialise(route.policy, ALICE, now=NOW)
        for it in requests
        if (route := index.match(it.origin, it.path)) is not None
    }

    def run() -> None:
        for it in requests:
            route = index.match(it.origin, it.path)
            assert route is not None
            ready[route.name].decide(it)

    return per_call(run, len(requests))


def deciding() -> float:
    policy = compile_policy(TEN, where=unplaced("benchmark"))
    asked = request(1)

    def run() -> None:
        for _ in range(1000):
            decide(policy, asked, ALICE, now=NOW)

    return per_call(run, 1000)


def loading(path: Path) -> None:
    """The child's part: load, compile, and say what that took and what it keeps."""
    before = _resident()
    started = time.process_time()
    config = load(path, env={})
    read = time.process_time()
    built = ruleset(config)
    done = time.process_time()
    gc.collect()
    assert not built.problems
    kept = _resident() - before
    print(
        json.dumps({
            "load": read - started, "compile": done - read, "kept": kept, "peak": _peak() - before
        })
    )  # fmt: skip


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def measured_loading(path: Path, *, runs: int) -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(runs):
        command = [sys.executable, __file__, "--load", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        if not best or found["load"] + found["compile"] < best["load"] + best["compile"]:
            best = found
    return best


def busy() -> float:
    """How much longer a loop takes than at its best: 1 on a machine that does nothing else."""
    taken = []
    for _ in range(500):
        started = time.process_time()
        sum(n * n for n in range(40_000))
        taken.append(time.process_time() - started)
    return statistics.median(taken) / min(taken)


def row(name: str, value: str, target: str) -> None:
    print(f"{name:<58} {value:>14}   {target}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        row("", "measured", "target")
        few, many = (
            ruleset(load(configuration(directory, routes), env={})).index for routes in (FEW, MANY)
        )
        gc.collect()
        gc.freeze()
        # In turns, so that both meet the same machine.
        turns = [(matching(few, FEW), matching(many, MANY)) for _ in range(5)]
        fast = min(turn[0] for turn in turns)
        slow = min(turn[1] for turn in turns)
        row(f"match + specialised decision, {FEW} routes", f"{fast:.2f} us", "< 5 us")
        row(f"match + specialised decision, {MANY:,} routes", f"{slow:.2f} us", "< 5 us")
        row("  the latter to the former", f"{slow / fast:.2f}", "0.90 to 1.10")
        spread = matching(many, MANY, hosts=1000)
        row(f"the same over 1,000 hosts of {MANY:,}", f"{spread:.2f} us", "< 5 us")
        row("decision by a policy of ten criteria", f"{deciding():.2f} us", "< 20 us")
        row("this processor is shared: a loop, to its best", f"{busy():.2f}", "1.00 alone")
        for routes, target in zip(LOADED, ("< 2 s", "< 30 s"), strict=True):
            found = measured_loading(
                configuration(directory, routes), runs=5 if routes < MANY else 1
            )
            total = found["load"] + found["compile"]
            row(f"load and compile {routes:,} routes", f"{total:.2f} s", target)
            per_route = total / routes * 1e6
            row("  per route", f"{per_route:.0f} us", "")
            row("  reading and checking", f"{found['load']:.2f} s", "")
            row("  compiling", f"{found['compile']:.2f} s", "")
            row("  memory kept per route", f"{found['kept'] / routes / 1024:.1f} kB", "reported")
            row(
                "  memory at its peak per route",
                f"{found['peak'] / routes / 1024:.1f} kB",
                "reported",
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        loading(Path(sys.argv[2]))
    else:
        main()
