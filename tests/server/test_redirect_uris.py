"""What an update does to a configuration whose providers do not say which redirect URI they have:
`serve` starts, says so, and refuses sign-in with them alone; a reload puts it right."""

from __future__ import annotations

import http.client
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.strict_provider import StrictProvider, running_strict_provider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.redis import RedisServer
    from tests.servers.sidecar import Sidecar, SidecarStarter

CORP, PARTNERS = "corp.example.com", "partners.example.com"
WORKERS = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture(scope="module")
def provider() -> Iterator[StrictProvider]:
    with running_strict_provider(client_secret="secret") as running:
        yield running


def config(
    provider: StrictProvider, *, corp: Mapping[str, str], partners: Mapping[str, str], workers: int
) -> dict[str, Any]:
    usual = {"issuer": provider.issuer, "client_id": "authz", "client_secret": "secret"}
    return {
        "server": {"adapters": ["traefik"], "workers": workers},
        "identity_providers": {"corp": {**usual, **corp}, "partners": {**usual, **partners}},
        "routes": [
            {
                "from": f"https://{name}.example.com",
                "identity_provider": name,
                "allow_any_authenticated_user": True,
            }
            for name in ("corp", "partners")
        ],
    }


def begun(sidecar: Sidecar, host: str) -> tuple[int, str, str]:
    """Status, destination and text of the answer to somebody who begins to sign in."""
    connection = http.client.HTTPConnection(*sidecar.web, timeout=5)
    try:
        headers = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        connection.request("GET", "/.auth/start?rd=/", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("location", ""), answer.read().decode()
    finally:
        connection.close()


def checked(sidecar: Sidecar, host: str) -> int:
    connection = http.client.HTTPConnection(*sidecar.check, timeout=5)
    facts = {"Method": "GET", "Proto": "https", "Host": host, "Uri": "/", "For": "192.0.2.1"}
    try:
        headers = {f"X-Forwarded-{name}": value for name, value in facts.items()}
        connection.request("GET", "/auth/traefik", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def status_of(sidecar: Sidecar) -> dict[str, Any]:
    return dict(json.loads(sidecar.get_ops("/status")[1]))


@WORKERS
def test_sign_in_with_the_provider_alone_is_refused(
    start_sidecar: SidecarStarter,
    redis_server: RedisServer,
    provider: StrictProvider,
    workers: int,
) -> None:
    settings = config(provider, corp={}, partners={"callback": "own"}, workers=workers)
    settings["sessions"] = {"store": redis_server.url}
    sidecar = start_sidecar(settings)

    status, _, text = begun(sidecar, CORP)
    assert status == 503
    assert f"https://{CORP}/.auth/callback/corp as a redirect URI" in text
    assert checked(sidecar, CORP) == 401
    status, location, _ = begun(sidecar, PARTNERS)
    assert status == 303
    assert location.startswith(f"{provider.issuer}/authorize?")

    said = status_of(sidecar)
    assert said["providers_refused"] == ["corp"]
    assert said["routes_refused"] == []
    [problem] = said["problems"]
    assert f"`https://{CORP}/.auth/callback`" in problem
    assert f"`https://{CORP}/.auth/callback/corp`" in problem
    assert "sign-in with these providers is refused" in sidecar.log()

    settings["identity_providers"]["corp"]["callback"] = "own"
    sidecar.write_config(settings)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert status_of(sidecar)["problems"] == []
    status, location, _ = begun(sidecar, CORP)
    assert status == 303
    assert "callback%2Fcorp&" in location


def test_a_reload_that_adds_a_provider_is_taken_into_use(
    start_sidecar: SidecarStarter, provider: StrictProvider
) -> None:
    both = config(provider, corp={}, partners={"callback": "own"}, workers=1)
    alone = {
        **both,
        "identity_providers": {"corp": both["identity_providers"]["corp"]},
        "routes": both["routes"][:1],
    }
    sidecar = start_sidecar(alone)
    assert begun(sidecar, CORP)[0] == 303
    assert "register the new one at the provider" in sidecar.log(), "a warning, and nothing else"
    sidecar.write_config(both)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert begun(sidecar, PARTNERS)[0] == 303
    assert begun(sidecar, CORP)[0] == 503
    assert status_of(sidecar)["providers_refused"] == ["corp"]
