"""Where a platform has no httptools or no uvloop: the same answers, slower, and a word about it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.server.test_dependencies import APP, DOCS, check, config, provider, sign_in
from tests.server.test_main import answers, complete, metric, with_workers, workers_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.providers import RunningProvider
    from tests.servers.sidecar import Sidecar, SidecarStarter

__all__ = ["provider"]

BOTH = ("httptools", "uvloop")


def without(directory: Path, *libraries: str) -> dict[str, str]:
    """An environment in which they cannot be imported."""
    modules = directory / "modules"
    modules.mkdir()
    for each in libraries:
        absent = f"raise ModuleNotFoundError('No module named {each}', name={each!r})\n"
        (modules / f"{each}.py").write_text(absent)
    return {"PYTHONPATH": str(modules)}


def warnings_of(sidecar: Sidecar) -> list[str]:
    lines = map(json.loads, sidecar.log().splitlines())
    said = [line["message"] for line in lines if line["level"] == "warning"]
    return [each for each in said if "is not installed" in each]


@pytest.mark.parametrize("missing", [("httptools",), ("uvloop",), BOTH], ids=" and ".join)
def test_it_serves_and_says_what_is_missing(
    start_sidecar: SidecarStarter,
    provider: RunningProvider,
    tmp_path: Path,
    missing: tuple[str, ...],
) -> None:
    sidecar = start_sidecar(config(provider.issuer), env=without(tmp_path, *missing))
    warnings = warnings_of(sidecar)
    assert len(warnings) == len(missing)
    for library, said in zip(missing, warnings, strict=True):
        assert said.startswith(f"{library} is not installed: ")
        assert "slower" in said
        assert f"`pip install {library}`" in said

    assert check(sidecar, DOCS)[0] == 200
    assert check(sidecar, APP)[0] == 302
    assert check(sidecar, "nowhere.example.com")[0] == 403
    cookie = sign_in(sidecar, provider)
    for _ in range(2):
        assert check(sidecar, APP, cookie=cookie)[0] == 200
    with socket.create_connection(sidecar.check) as client:
        client.sendall(b"GET /auth/traefik HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 400")
    assert metric(sidecar, 'authz_connections_refused_total{listener="check",status="400"}') == 1

    with socket.create_connection(sidecar.check) as idle:
        sidecar.process.terminate()
        assert sidecar.process.wait(10) == 0
        assert idle.recv(1) == b""
    assert '"stopped"' in sidecar.log()
    assert "Traceback" not in sidecar.log()


def test_several_workers_say_it_once(start_sidecar: SidecarStarter, tmp_path: Path) -> None:
    sidecar = start_sidecar(with_workers(), env=without(tmp_path, *BOTH), wait_for="/healthz")
    sidecar.wait_until(lambda: len(workers_of(sidecar)) == 2 and " listens" in sidecar.log())
    assert answers(sidecar)
    assert len(warnings_of(sidecar)) == 2
    sidecar.process.terminate()
    assert sidecar.process.wait(20) == 0
    assert "Traceback" not in sidecar.log()


def test_with_both_nothing_is_said(start_sidecar: SidecarStarter) -> None:
    assert warnings_of(start_sidecar(with_workers(), wait_for="/healthz")) == []


def test_no_other_command_needs_them(tmp_path: Path) -> None:
    path = tmp_path / "authz-sidecar.yaml"
    path.write_text(json.dumps(complete()))
    checked = subprocess.run(
        [sys.executable, "-m", "authz_sidecar", "check", "--config", str(path)],
        env={**os.environ, **without(tmp_path, *BOTH)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stderr == ""
