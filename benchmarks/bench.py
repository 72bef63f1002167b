"""`make bench`: every claim about speed and size, measured in one run, side by side.

Each service has one core; the load, Redis, and a proxy where there is one, have the other. Ratios
are the result; on a machine with other work, those per second of the service's processor time say
more than those per second. Writes `benchmarks/results/latest.json`; with `--only`, nothing unless
`--output` says where.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import authz_sidecar
from benchmarks.load import CONNECTIONS
from benchmarks.machine import describe_machine, installed_versions, measure_slowdown
from benchmarks.parts import BenchmarkSuite
from benchmarks.results import LATEST, Results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


PARTS: Mapping[str, Callable[[BenchmarkSuite], None]] = {
    "services": BenchmarkSuite.compare_services,
    "revocation": BenchmarkSuite.measure_revocations,
    "news": BenchmarkSuite.measure_invalidations,
    "memory": BenchmarkSuite.measure_session_memory,
    "routes": BenchmarkSuite.measure_route_growth,
    "sessions": BenchmarkSuite.measure_session_growth,
    "policy": BenchmarkSuite.measure_policies,
    "steps": BenchmarkSuite.measure_steps,
}


def main() -> int:
    options = _options()
    if shutil.which("wrk") is None:
        print("`wrk` makes the load and is not installed (Debian: apt-get install wrk)")
        return 2
    results, failed, started = Results(), dict[str, str](), time.monotonic()
    about: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%d"),
        "machine": {
            **describe_machine(),
            "load_before": round(os.getloadavg()[0], 2),
            "busy_before": measure_slowdown(),
        },
        "versions": installed_versions(),
        "settings": {
            "seconds": options.seconds,
            "rounds": options.rounds,
            "routes": options.routes,
            "sessions": options.sessions,
            "connections": CONNECTIONS,
        },
    }
    # As it is installed: whoever compiles what it imports takes ten megabytes more.
    compileall.compile_dir(Path(authz_sidecar.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory() as place:
        parts = BenchmarkSuite(
            directory=Path(place),
            seconds=options.seconds,
            rounds=options.rounds,
            routes=options.routes,
            sessions=options.sessions,
            results=results,
        )
        for name, part in PARTS.items():
            if options.only is None or name in options.only:
                print(name, flush=True)
                began = time.monotonic()
                try:
                    part(parts)
                except Exception as error:  # noqa: BLE001 - the others are measured all the same
                    # Behind the first line there may be logs, with the names of this machine.
                    failed[name] = str(error).partition("\n")[0] or type(error).__name__
                    print(f"  FAILED: {error}", file=sys.stderr, flush=True)
                print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    about["machine"]["busy_after"] = measure_slowdown()
    about["settings"]["took_seconds"] = round(time.monotonic() - started)
    document = {**about, **asdict(results), "failed": failed}
    output = options.output or (LATEST if options.only is None else None)
    if output is not None:
        output.parent.mkdir(exist_ok=True)
        output.write_text(json.dumps(document, indent=2) + "\n")
    for name, value in (*results.ratios.items(), *results.memory.items()):
        print(f"{name:50} {value}")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5, help="of load in each round")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS))
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
