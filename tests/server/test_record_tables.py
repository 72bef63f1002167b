"""A table in Redis and the rules about it, in a running sidecar: what changes there counts here."""

from __future__ import annotations

import http.client
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.servers.redis import RedisServer, RedisStarter
    from tests.servers.sidecar import Sidecar, SidecarStarter

SITES = "authz:sites"
LISTS = {
    "allow": {"or": [{"record": {"type": "sites", "by": "address", "field": "name", "is": "hq"}}]}
}
BANS = {
    "allow": {"or": [{"accept": True}]},
    "deny": {"or": [{"record": {"type": "sites", "by": "address", "field": "out", "is": True}}]},
}


def config(redis: RedisServer, **more: Any) -> dict[str, Any]:
    table = {"key": SITES, "url": redis.url, "every": "1s", "max_age": "2s", **more}
    return {
        "server": {"adapters": ["traefik"]},
        "records": {"sites": {"by": "address", "redis": table}},
        "identity_providers": {"corp": {"issuer": "http://localhost:1", "client_id": "x"}},
        "routes": [
            {"from": "https://lists.example.com", "policy": LISTS},
            {"from": "https://bans.example.com", "policy": BANS},
        ],
    }


def statuses(sidecar: Sidecar) -> tuple[int, ...]:
    return tuple(status(sidecar, host) for host in ("lists", "bans"))


def status(sidecar: Sidecar, host: str) -> int:
    connection = http.client.HTTPConnection(*sidecar.check, timeout=5)
    try:
        headers = {
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": f"{host}.example.com",
            "X-Forwarded-Uri": "/",
            "X-Forwarded-For": "10.1.2.3",
        }
        connection.request("GET", "/auth/traefik", headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def known(sidecar: Sidecar) -> bool:
    return b'authz_record_tables_known{table="sites"} 1.0' in sidecar.get_ops("/metrics")[1]


@pytest.mark.parametrize("lane", [True, False], ids=["lane", "framework"])
def test_what_changes_in_redis_changes_the_answer(
    lane: bool,  # noqa: FBT001
    start_redis: RedisStarter,
    start_sidecar: SidecarStarter,
) -> None:
    redis = start_redis()
    settings = config(redis)
    settings["server"]["fast_lane"] = lane
    sidecar = start_sidecar(settings, wait_for="/healthz")
    # Not known, so it neither lets in nor fails to keep out.
    assert statuses(sidecar) == (403, 403)
    assert b"table `sites`" in sidecar.get_ops("/readyz")[1]

    redis.command("HSET", SITES, "10.0.0.0/8", '{"name": "hq"}')
    sidecar.wait_until(lambda: statuses(sidecar) == (200, 200))
    assert known(sidecar)
    assert b"table `sites`" not in sidecar.get_ops("/readyz")[1]

    redis.command("HSET", SITES, "10.1.0.0/16", '{"name": "lab", "out": true}')
    sidecar.wait_until(lambda: statuses(sidecar) == (403, 403))
    assert known(sidecar)
    redis.command("HDEL", SITES, "10.1.0.0/16")
    sidecar.wait_until(lambda: statuses(sidecar) == (200, 200))

    redis.command("HSET", SITES, "10.0.0.0/8", "nonsense")
    sidecar.wait_until(lambda: statuses(sidecar) == (403, 403))
    assert not known(sidecar)
    assert "`10.0.0.0/8` is not a record in JSON" in sidecar.log()
    redis.command("HSET", SITES, "10.0.0.0/8", '{"name": "hq"}')
    sidecar.wait_until(lambda: statuses(sidecar) == (200, 200))

    redis.stop()
    sidecar.wait_until(lambda: statuses(sidecar) == (403, 403))
    redis.start()
    redis.command("HSET", SITES, "10.0.0.0/8", '{"name": "hq"}')
    sidecar.wait_until(lambda: statuses(sidecar) == (200, 200))


def test_a_reload_keeps_the_table_in_memory(
    start_redis: RedisStarter, start_sidecar: SidecarStarter
) -> None:
    redis = start_redis()
    redis.command("HSET", SITES, "10.0.0.0/8", '{"name": "hq"}')
    settings = config(redis, max_age="1h")
    sidecar = start_sidecar(settings, wait_for="/healthz")
    sidecar.wait_until(lambda: statuses(sidecar) == (200, 200))
    redis.stop()
    settings["routes"].append({"from": "https://more.example.com", "policy": LISTS})
    sidecar.write_config(settings)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status(sidecar, "more") == 200)
    assert statuses(sidecar) == (200, 200)
