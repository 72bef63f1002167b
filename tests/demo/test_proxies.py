"""The demo's proxy configurations are those of `deploy/`, wholly replaced."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.demo.proxies import PROXIES, ProxyError, find_program
from authz_sidecar.demo.scenario import Ports, Scenario

if TYPE_CHECKING:
    from pathlib import Path

# The public port equals an address in `deploy/`, on purpose.
PORTS = Ports(public=8080, app=40001, provider=40002, check=40003, web=40004, ops=40005)


def written(proxy: str, directory: Path) -> str:
    """What the proxy reads, without comments."""
    PROXIES[proxy].write(Scenario(proxy=proxy, ports=PORTS), directory)
    texts = (path.read_text() for path in sorted(directory.rglob("*")) if path.is_file())
    return "\n".join(re.sub(r"(^|\s)#.*", "", line) for text in texts for line in text.split("\n"))


@pytest.mark.parametrize("proxy", PROXIES)
def test_nothing_of_the_original_place_is_left(proxy: str, tmp_path: Path) -> None:
    text = written(proxy, tmp_path)
    assert not re.search(r"example\.(com|test)|\b(443|9180|9181|9182)\b|/etc/|__Host-", text)
    for port in (PORTS.public, PORTS.app, PORTS.check, PORTS.web):
        assert str(port) in text
    for host in ("public.localhost", "app.localhost", "admin.localhost", "auth.localhost"):
        assert host in text


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_proxy_listens_on_loopback_alone(proxy: str, tmp_path: Path) -> None:
    text = written(proxy, tmp_path)
    assert "0.0.0.0" not in text
    if proxy == "caddy":
        assert "default_bind 127.0.0.1" in text
    elif proxy == "envoy":
        assert "address: 127.0.0.1, port_value: 8080" in text
    else:
        assert "127.0.0.1:8080" in text


@pytest.mark.parametrize(
    ("proxy", "arguments"),
    [
        pytest.param("envoy", ["--mode", "validate"], id="envoy"),
        pytest.param("nginx", ["-t"], id="nginx"),
    ],
)
def test_the_proxy_accepts_it(proxy: str, arguments: list[str], tmp_path: Path) -> None:
    program = find_program(proxy)
    PROXIES[proxy].write(Scenario(proxy=proxy, ports=PORTS), tmp_path)
    command = [*PROXIES[proxy].command(program, tmp_path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_program_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ProxyError, match=r"nginx is not installed.*apt-get install nginx"):
        find_program("nginx")
