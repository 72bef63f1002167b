"""Reloads without end, of a large configuration, are not felt by checks."""

from __future__ import annotations

import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.test_dependencies import check, config, provider, sign_in
from tests.server.test_main import metric, status_of
from tests.server.test_several_workers import under_load

if TYPE_CHECKING:
    from tests.servers.providers import RunningProvider
    from tests.servers.redis import RedisServer
    from tests.servers.sidecar import SidecarStarter

__all__ = ["provider"]

ROUTES = 1000
RELOADS = 30
SECONDS = 5.0


def large(settings: dict[str, Any], *, last: str) -> dict[str, Any]:
    """With routes and policies as a house with many applications has them."""
    hosts = [*(f"h{number}.example.com" for number in range(ROUTES)), last]
    allow = [{"email": {"is": "eve@example.com"}}, {"groups": {"has": "eng"}}]
    deny = [{"http_path": {"starts_with": "/admin"}}]
    policy = [{"allow": {"or": allow}}, {"deny": {"or": deny}}]
    routes = [{"from": f"https://{host}", "policy": policy} for host in hosts]
    return {**settings, "routes": [*settings["routes"], *routes]}


@pytest.mark.parametrize("workers", [1, 2])
def test_thirty_reloads_in_five_seconds_fail_no_check(
    start_sidecar: SidecarStarter,
    provider: RunningProvider,
    redis_server: RedisServer,
    workers: int,
) -> None:
    settings = config(provider.issuer, store=redis_server.url)
    settings["server"]["workers"] = workers
    sidecar = start_sidecar(large(settings, last="first.example.com"))
    cookie = sign_in(sidecar, provider)
    with under_load(lambda: socket.create_connection(sidecar.check, timeout=30), cookie) as clients:
        for number in range(RELOADS):
            last = "last.example.com" if number == RELOADS - 1 else f"x{number}.example.com"
            sidecar.write_config(large(settings, last=last))
            sidecar.process.send_signal(signal.SIGHUP)
            time.sleep(SECONDS / RELOADS)
        sidecar.wait_until(lambda: check(sidecar, "last.example.com")[0] == 302, seconds=60)
    assert [client.failed for client in clients] == [[]] * len(clients)
    assert all(client.answered > 10 for client in clients)
    sidecar.wait_until(lambda: status_of(sidecar)["reload_pending_since"] is None)
    sidecar.wait_until(
        lambda: status_of(sidecar)["generation"] == status_of(sidecar)["generation_wanted"]
    )
    # One at a time, with a second's rest between two.
    assert 2 <= status_of(sidecar)["generation"] <= 9
    assert metric(sidecar, "authz_workers_lagging") == 0
    assert {check(sidecar, "first.example.com")[0] for _ in range(20)} == {403}
    assert "Traceback" not in sidecar.log()
