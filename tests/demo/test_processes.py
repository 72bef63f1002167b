"""Ports and processes of the demo: taken ports, dying children, nothing left behind."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.demo.ports import PortError, choose_ports
from authz_sidecar.demo.processes import ProcessError, ProcessGroup

if TYPE_CHECKING:
    from pathlib import Path

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]


def test_a_taken_port_names_the_setting_to_change() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=rf"Port {port} .*PORT="):
            choose_ports(port)


def test_a_wished_port_is_kept_and_the_others_differ() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    ports = choose_ports(free)
    assert ports.public == free
    assert len({ports.app, ports.provider, ports.check, ports.web, ports.ops, free}) == 6


def test_without_a_wish_a_free_port_is_found() -> None:
    ports = choose_ports(None)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", ports.public))


def test_two_demos_that_only_check_do_not_collide() -> None:
    assert choose_ports(None, memorable=False).public not in range(8080, 8100)


def test_a_child_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as children:
        children.start("The app", SLEEP)
        children.start(
            "Caddy", [sys.executable, "-c", "print('no such file'); raise SystemExit(3)"]
        )
        with pytest.raises(ProcessError, match=r"(?s)Caddy ended with exit code 3.*no such file"):
            children.watch()


def test_a_child_that_dies_while_waited_for_is_noticed_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with ProcessGroup(tmp_path) as children:
        child = children.start("The sidecar", [sys.executable, "-c", "raise SystemExit(2)"])
        with pytest.raises(ProcessError, match=r"The sidecar ended with exit code 2.*is empty"):
            children.wait_until(child, lambda: False)
    assert time.monotonic() - started < 10


def test_another_child_that_dies_meanwhile_is_the_one_that_is_named(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as children:
        children.start("The provider", [sys.executable, "-c", "raise SystemExit(4)"])
        waits = children.start("The sidecar", SLEEP)
        with pytest.raises(ProcessError, match="The provider ended with exit code 4"):
            children.wait_until(waits, lambda: False)


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('ready', flush=True); time.sleep(60)"
    )
    with ProcessGroup(tmp_path) as children:
        first = children.start("one", SLEEP)
        second = children.start("two", [sys.executable, "-c", stubborn])
        for child in (first, second):
            children.wait_until(child, lambda child=child: "ready" in child.log.read_text())  # type: ignore[misc]
    assert first.process.returncode is not None
    assert second.process.returncode is not None
