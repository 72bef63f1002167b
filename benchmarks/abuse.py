"""Bad input in bulk against one sidecar over a Redis of its own on loopback: what it costs in memory,
and whether those who ask honestly meanwhile are answered rightly. Ends by itself.

    python -m benchmarks.abuse [--cookies 1000000] [--only cookies,floods] [--framework]
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from tests.server.test_abuse import configuration, signed_in
from tests.servers import abuse
from tests.servers.providers import running_mock_provider
from tests.servers.redis import running_redis
from tests.servers.sidecar import Sidecar, running_sidecar

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable

    from tests.servers.sidecar import Listener

    Attack = Callable[[Listener], Awaitable[Counter[int]]]

MIB = 1 << 20


def attacks(*, cookies: int) -> dict[str, Attack]:
    return {
        "slowloris": partial(abuse.slowloris, connections=2000),
        "heads": partial(abuse.oversized_heads, count=4000),
        "cookies": partial(abuse.distinct_cookies, count=cookies),
        "floods": partial(abuse.header_floods, count=100_000),
        "targets": partial(abuse.distinct_targets, count=200_000),
        "deaf": partial(abuse.deaf_askers, connections=200, megabytes=20),
    }


async def run_attacks(sidecar: Sidecar, store: str, chosen: dict[str, Attack]) -> bool:
    cookie = ("Cookie", await signed_in(store))
    harmed = False
    print(f"{'attack':<10} {'seconds':>8} {'grown':>10} {'honest':>8} {'wrong':>6}  answers")
    for name, attack in chosen.items():
        clients = abuse.Honest(
            where=sidecar.check,
            expected=(
                (abuse.question(cookie), 200, "alice"),
                (abuse.question(host=abuse.PUBLIC_HOST), 200, None),
                (abuse.question(host="nowhere.example.com"), 403, None),
            ),
        )
        began = time.monotonic()
        impact = await abuse.suffer(attack, clients, pid=sidecar.process.pid)
        took, wrong = time.monotonic() - began, len(clients.wrong)
        harmed = harmed or wrong > 0
        grown = f"{impact.grown / MIB:.1f} MiB"
        status_counts = ", ".join(
            f"{count} x {status}" for status, count in impact.statuses.items()
        )
        print(
            f"{name:<10} {took:>8.1f} {grown:>10} {clients.answered:>8} {wrong:>6}  {status_counts}"
        )
    return harmed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cookies", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="some of the attacks, joined by commas")
    parser.add_argument("--framework", action="store_true", help="with the fast lane off")
    options = parser.parse_args()
    known = attacks(cookies=options.cookies)
    names = options.only.split(",") if options.only else list(known)
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None or not set(names) <= set(known):
        parser.error(f"needs redis-server, and attacks among {', '.join(known)}")
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        with running_redis(binary) as redis, running_mock_provider(directory) as provider:
            config = configuration(provider.issuer, redis.url, fast_lane=not options.framework)
            with (
                running_sidecar(config, directory) as sidecar,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                chosen = {name: known[name] for name in names}
                return int(runner.run(run_attacks(sidecar, redis.url, chosen)))


if __name__ == "__main__":
    sys.exit(main())
