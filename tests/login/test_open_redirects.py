"""The corpus of hostile return addresses, over a real socket, to a sidecar that runs as in
production: nothing of it is ever accepted, nor leads away."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, urlsplit

import pytest

from tests.core.test_redirects import corpus
from tests.servers.hostile_provider import HostileProvider, running_hostile_provider
from tests.servers.sidecar import Listener, SidecarStarter, start_module_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["start_module_sidecar"]

APP = "https://app.whitelisteddomain.tld"
WWW = "https://www.whitelisteddomain.tld"


@pytest.fixture(scope="module")
def provider() -> Iterator[HostileProvider]:
    with running_hostile_provider() as running:
        running.offers()
        yield running


@pytest.fixture(scope="module")
def web(start_module_sidecar: SidecarStarter, provider: HostileProvider) -> Listener:
    routes = [{"from": host, "allow_any_authenticated_user": True} for host in (APP, WWW)]
    providers = {"corp": {"issuer": provider.issuer, "client_id": "authz"}}
    patient = {"throttle": {"requests": 1_000_000}}
    config = {"server": patient, "routes": routes, "identity_providers": providers}
    return start_module_sidecar(config).web


def ask(web: Listener, target: bytes) -> tuple[int, str | None, str]:
    """Status, Location and body; bytes as they are, which no client library would send."""
    with socket.create_connection(web, timeout=10) as connection:
        connection.sendall(
            b"GET " + target + b" HTTP/1.1\r\nHost: app.whitelisteddomain.tld\r\n"
            b"Connection: close\r\n\r\n"
        )
        received = b""
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    locations = [line[10:] for line in lines if line.lower().startswith("location: ")]
    assert len(locations) <= 1
    return int(lines[0].split(" ")[1]), locations[0] if locations else None, body.decode()


def ask_all(web: Listener, targets: list[bytes]) -> list[tuple[int, str | None, str]]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda target: ask(web, target), targets))


@pytest.mark.parametrize("name", ["rd", "target_link_uri"])
def test_open_redirects_are_refused_on_the_wire(web: Listener, name: str) -> None:
    lines = corpus()
    targets = [
        f"/.auth/start?{name}={quote(unquote_plus(line), safe='')}".encode() for line in lines
    ]
    accepted = [
        (line, status, location)
        for line, (status, location, _) in zip(lines, ask_all(web, targets), strict=True)
        if status != 400 or location is not None
    ]
    assert accepted == []


def test_open_redirects_lead_nowhere_when_they_are_sent_as_they_are(
    web: Listener, provider: HostileProvider
) -> None:
    lines = corpus()
    allowed = {provider.issuer, APP, WWW}
    for line, (status, location, _) in zip(
        lines,
        ask_all(web, [b"/.auth/start?rd=" + line.encode() for line in lines]),
        strict=True,
    ):
        assert status in {303, 400}, line
        if location is not None:
            parts = urlsplit(location)
            assert f"{parts.scheme}://{parts.netloc}" in allowed, line


@pytest.mark.parametrize(
    "path", ["sign_out", "signed_out", "choose", "callback", "callback/corp", "handover", ""]
)
def test_open_redirects_mean_nothing_elsewhere(web: Listener, path: str) -> None:
    lines = corpus()[::10]
    targets = [
        f"/.auth/{path}?rd={value}&redirect_uri={value}&url={value}".encode()
        for value in (quote(unquote_plus(line), safe="") for line in lines)
    ]
    for line, (_, location, _) in zip(lines, ask_all(web, targets), strict=True):
        assert location is None or location.startswith(f"{APP}/.auth/"), (line, location)


@pytest.mark.parametrize("rd", ["/", "/a/b?x=1", "/a?next=https://evil.example/", f"{WWW}:443/x"])
def test_what_is_no_attack_is_accepted(web: Listener, rd: str) -> None:
    status, location, _ = ask(web, f"/.auth/start?rd={quote(rd, safe='')}".encode())
    assert status == 303
    assert location is not None
