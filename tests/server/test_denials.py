"""Why was this denied, asked with the request id of a log line; one process or several."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.servers.sidecar import Sidecar, SidecarStarter

ROUTE = {
    "name": "docs",
    "from": "https://docs.example.com",
    "allow_public_unauthenticated_access": True,
    "policy": [{"deny": {"or": [{"http_path": {"starts_with": "/secret"}}]}}],
}


def deny(sidecar: Sidecar) -> str:
    """The request id of a denial."""
    headers = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "docs.example.com",
        "X-Forwarded-Uri": "/secret",
    }
    # The parent is healthy before its workers have started, and a busy machine takes its time.
    with contextlib.closing(http.client.HTTPConnection(*sidecar.check, timeout=60)) as client:
        client.request("GET", "/auth/traefik", headers=headers)
        assert client.getresponse().status == 403
    sidecar.wait_until(lambda: '"authorize check"' in sidecar.log())
    lines = [json.loads(line) for line in sidecar.log().splitlines() if '"authorize check"' in line]
    request_id: str = lines[-1]["request-id"]
    return request_id


@pytest.mark.parametrize("workers", [1, 2])
def test_a_denial_is_explained_by_its_request_id(
    start_sidecar: SidecarStarter, workers: int
) -> None:
    store = "memory://" if workers == 1 else "redis://127.0.0.1:1/0"
    config = {
        "server": {"adapters": ["traefik"], "workers": workers},
        "sessions": {"store": store},
        "routes": [ROUTE],
    }
    sidecar = start_sidecar(config, wait_for="/healthz")
    request_id = deny(sidecar)
    code, body = sidecar.get_ops(f"/status/denials/{request_id}")
    assert code == 200
    told: dict[str, Any] = json.loads(body)
    assert (told["verdict"], told["url"]) == ("deny", "https://docs.example.com/secret")
    assert told["answered"]["status"] == 403
    _, rule = told["readings"][0]["rules"]
    assert rule["criteria"][0]["found"] == "/secret"
    assert sidecar.get_ops("/status/denials/unknown")[0] == 404
