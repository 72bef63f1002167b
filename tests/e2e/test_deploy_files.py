"""What can be said of the deploy files without running them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.servers.proxy import DEPLOY
from tests.servers.sidecar import SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
PROXIES = sorted(path.name for path in DEPLOY.iterdir() if (path / "README.md").is_file())


def test_there_is_one_directory_for_each_proxy() -> None:
    assert PROXIES == ["caddy", "envoy", "haproxy", "nginx", "traefik"]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(DEPLOY)) for path in FILES])
def test_no_proxy_routes_to_the_operators_listener(path: Path) -> None:
    if path.name != "authz-sidecar.example.yaml":
        assert "9182" not in path.read_text()


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    "name", ["X-Auth-User", "X-Auth-Email", "X-Auth-Groups", "X-Auth-Name", "X-Auth-Assertion"]
)
def test_every_managed_header_is_named(proxy: str, name: str) -> None:
    texts = [path.read_text().lower() for path in (DEPLOY / proxy).rglob("*") if path.is_file()]
    assert any(name.lower() in text for text in texts)


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_example_configuration_is_sound(proxy: str, tmp_path: Path) -> None:
    text = (DEPLOY / "authz-sidecar.example.yaml").read_text()
    assert "adapters: [nginx]" in text
    config = tmp_path / "authz-sidecar.yaml"
    config.write_text(text.replace("adapters: [nginx]", f"adapters: [{proxy}]"))
    done = subprocess.run(
        [sys.executable, "-m", "authz_sidecar", "check", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "AUTHZ_SECRET_KEY": SECRET_KEY, "OIDC_CLIENT_SECRET": "secret"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
