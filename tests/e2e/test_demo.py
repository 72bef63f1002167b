"""`make demo` as people run it: the journey behind every proxy, Ctrl-C, and what goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from authz_sidecar.demo.proxies import PROXIES
from tests.servers.sidecar import free_ports

COMMAND = [sys.executable, "-m", "authz_sidecar", "demo"]


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_whole_journey_holds(proxy: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--check", "--proxy", proxy, "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    logs = "\n".join(f"== {log.name}\n{log.read_text()[-4000:]}" for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    assert "✗" not in done.stdout
    assert done.stdout.count("✓") == 12


def test_ctrl_c_stops_everything_and_is_no_failure(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [*COMMAND, "--port", str(free_ports(1)[0]), "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert demo.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = demo.stdout.readline()
            assert line, said
            said += line
        assert "http://app.localhost:" in said
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=60)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 0
    assert "All processes are stopped." in rest
    assert not processes_in(tmp_path)


def test_a_taken_port_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [*COMMAND, "--port", port, "--directory", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert f"Port {port} cannot be used" in done.stderr
    assert "PORT=" in done.stderr
    assert "Traceback" not in done.stderr


def processes_in(directory: Path) -> list[str]:
    """Command lines that mention the directory, once processes had a moment to go."""
    found: list[str] = []
    for _ in range(20):
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in line and str(os.getpid()) != entry.parent.name:
                found.append(line)
        if not found:
            break
        time.sleep(0.1)
    return found
