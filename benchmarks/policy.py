"""What routes and policies cost: `make bench-policy`.

Figures are the best of several runs in one process, ratios are between figures of the same run.
Loading is measured in processes of their own, with the memory that stays, as time on the processor:
others may be busy too.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.config.load import load_config
from authz_sidecar.core.source_locations import unknown_locations
from authz_sidecar.core.types import CheckRequest, Identity
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy import compile_policy, decide
from authz_sidecar.policy.partial_evaluation import partially_evaluate
from authz_sidecar.routes_from_config import compile_routes
from benchmarks.machine import measure_slowdown
from benchmarks.targets import evaluate_claims, policy_claims

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.routes import RouteIndex

FEW_ROUTES, MANY_ROUTES = 10, 100_000
NOW = 1_700_000_000.0
ALICE = Identity(
    provider="corp",
    issuer="https://idp.example.com",
    subject="u1",
    email="alice@example.com",
    groups=("eng", "ops"),
    claims={"department": "it", "groups": ["eng", "ops"]},
)

CONFIG_HEADER = """\
secret_keys: [Vq0xG7m2Zt5yLs9kNc4bRf8hJd3wPa6e]
sessions: {store: "memory://"}
identity_providers: {corp: {issuer: https://idp.example.com, client_id: authz}}
policies:
  engineers:
    - allow: {and: [{domain: {is: example.com}}, {groups: {has: eng}}]}
    - deny: {or: [{http_path: {starts_with: /forbidden}}]}
routes:
"""
ROUTE_TEMPLATE = """\
  - name: app{n}
    from: https://app{n}.example.com
    prefix: /team{n}
    policies: [engineers]
    policy:
      - allow: {{or: [{{email: {{is: ops{n}@example.com}}}}]}}
"""
TEN_CRITERIA_POLICY = [
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
    path.write_text(CONFIG_HEADER + "".join(ROUTE_TEMPLATE.format(n=n) for n in range(routes)))
    return path


def request(n: int) -> CheckRequest:
    origin = Origin("https", f"app{n}.example.com")
    return CheckRequest(adapter="nginx", method="GET", origin=origin, path=f"/team{n}/page/7")


def microseconds_per_call(call: Callable[[], object], calls: int, *, runs: int = 7) -> float:
    """Microseconds of one of `calls` calls: the best of several runs."""
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best / calls * 1e6


def measure_matching(index: RouteIndex, routes: int, *, hosts: int = FEW_ROUTES) -> float:
    """Match and decide, over requests to some hosts all over the configuration. With many of them
    the processor's own caches no longer hold what is needed, which is no matter of the index."""
    requests = [request(n % hosts * (routes // hosts)) for n in range(1000)]
    ready = {
        route.name: partially_evaluate(route.policy, ALICE, now=NOW)
        for check_request in requests
        if (route := index.match(check_request.origin, check_request.path)) is not None
    }

    def run() -> None:
        for it in requests:
            route = index.match(it.origin, it.path)
            assert route is not None
            ready[route.name].decide(it)

    return microseconds_per_call(run, len(requests))


def measure_deciding() -> float:
    policy = compile_policy(TEN_CRITERIA_POLICY, source_map=unknown_locations("benchmark"))
    asked = request(1)

    def run() -> None:
        for _ in range(1000):
            decide(policy, asked, ALICE, now=NOW)

    return microseconds_per_call(run, 1000)


def report_loading(path: Path) -> None:
    """The child's part: load, compile, and say what that took and what it keeps."""
    before = _resident_bytes()
    started = time.process_time()
    config = load_config(path, env={})
    read = time.process_time()
    built = compile_routes(config)
    done = time.process_time()
    gc.collect()
    assert not built.problems
    retained = _resident_bytes() - before
    print(
        json.dumps({
            "load": read - started, "compile": done - read, "kept": retained, "peak": _peak_bytes() - before
        })
    )  # fmt: skip


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def measure_loading(path: Path, *, runs: int) -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(runs):
        command = [sys.executable, "-m", "benchmarks.policy", "--load", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        found = json.loads(done.stdout)
        if not best or found["load"] + found["compile"] < best["load"] + best["compile"]:
            best = found
    return best


def measure_policies(directory: Path, *, many: int) -> dict[str, float]:
    """Microseconds, seconds and KiB, as the names say."""
    small, large = (
        compile_routes(load_config(configuration(directory, routes), env={})).index
        for routes in (FEW_ROUTES, many)
    )
    gc.collect()
    gc.freeze()
    # In turns, so that both meet the same machine.
    turns = [(measure_matching(small, FEW_ROUTES), measure_matching(large, many)) for _ in range(5)]
    few_us, many_us = (min(turn[at] for turn in turns) for at in range(2))
    found = {
        "routes": many,
        "match_decide_us_few_routes": few_us,
        "match_decide_us_many_routes": many_us,
        "match_decide_many_vs_few": many_us / few_us,
        "match_decide_us_many_hosts": measure_matching(large, many, hosts=min(1000, many)),
        "decide_us_ten_criteria": measure_deciding(),
        "busy": measure_slowdown(),
    }
    del small, large
    for name, routes, runs in (("tenth", many // 10, 3), ("all", many, 1)):
        loaded = measure_loading(configuration(directory, routes), runs=runs)
        found |= {
            f"load_seconds_{name}": loaded["load"] + loaded["compile"],
            f"compile_seconds_{name}": loaded["compile"],
            f"kib_per_route_{name}": loaded["kept"] / routes / 1024,
            f"kib_per_route_at_peak_{name}": loaded["peak"] / routes / 1024,
        }
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=MANY_ROUTES)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load is not None:
        report_loading(options.load)
        return
    with tempfile.TemporaryDirectory() as name:
        found = measure_policies(Path(name), many=options.routes)
    if options.json:
        print(json.dumps(found))
        return
    for claim in evaluate_claims(policy_claims(options.routes), found):
        print(f"{claim.text:<62} {claim.value_text:>12}   {claim.target}")
    print(f"{'this processor is shared: a loop, to its best':<62} {found['busy']:>12.2f}")


if __name__ == "__main__":
    main()
