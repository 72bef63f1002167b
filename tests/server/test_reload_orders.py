"""A tightened configuration is obeyed by every worker, in whatever order reloads, replacements and
deaths come; and no request to reload, replace or stop is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.test_main import answers, complete, is_alive, status_of, workers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.sidecar import Sidecar, SidecarStarter

HOST = "app.example.com"
OPEN: dict[str, Any] = {"allow_public_unauthenticated_access": True}
CLOSED = {**OPEN, "policy": [{"deny": {"or": [{"http_path": {"starts_with": "/"}}]}}]}
CHECKS = 20


def config(rule: dict[str, Any], *, workers: int) -> dict[str, Any]:
    store = "redis://127.0.0.1:1/0" if workers > 1 else "memory://"
    return {
        "server": {"adapters": ["traefik"], "workers": workers},
        "sessions": {"store": store},
        "routes": [{"from": f"https://{HOST}", **rule}],
    }


def check(sidecar: Sidecar) -> int:
    """On a connection of its own, which any worker may accept."""
    connection = http.client.HTTPConnection(*sidecar.check, timeout=10)
    facts = {"Method": "GET", "Proto": "https", "Host": HOST, "Uri": "/", "For": "192.0.2.9"}
    try:
        headers = {f"X-Forwarded-{name}": value for name, value in facts.items()}
        connection.request("GET", "/auth/traefik", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


class Operator:
    """Somebody at the keyboard of a running sidecar."""

    def __init__(self, sidecar: Sidecar, *, workers: int) -> None:
        self.sidecar = sidecar
        self._workers = workers

    def write(self, rule: dict[str, Any]) -> None:
        self.sidecar.write_config(config(rule, workers=self._workers))

    def reload(self) -> None:
        self.sidecar.process.send_signal(signal.SIGHUP)

    def replace(self) -> None:
        self.sidecar.process.send_signal(signal.SIGUSR2)

    def kill(self, worker: int = 1) -> None:
        with contextlib.suppress(KeyError):
            os.kill(workers_of(self.sidecar)[worker], signal.SIGKILL)

    def settled(self) -> bool:
        status = status_of(self.sidecar)
        return status["generation"] == status["generation_wanted"] and all(
            each["answering"] for each in status["workers"]
        )

    def ask_everybody(self) -> set[int]:
        return {check(self.sidecar) for _ in range(CHECKS)}


@pytest.fixture(scope="module")
def sidecar(start_module_sidecar: SidecarStarter) -> Sidecar:
    return start_module_sidecar(config(OPEN, workers=2), wait_for="/healthz")


@pytest.fixture
def operator(sidecar: Sidecar) -> Iterator[Operator]:
    operator = Operator(sidecar, workers=2)
    before = status_of(sidecar)["generation_wanted"]
    operator.write(OPEN)
    operator.reload()
    sidecar.wait_until(
        lambda: operator.settled() and status_of(sidecar)["generation"] > before, seconds=60
    )
    assert operator.ask_everybody() == {200}
    yield operator
    sidecar.wait_until(operator.settled, seconds=60)


Step = str | float


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(("reload",), id="reload"),
        pytest.param(("reload", "reload", "reload"), id="reloads at once"),
        pytest.param(("replace", "reload"), id="replacement and reload"),
        pytest.param(("replace", 0.3, "reload"), id="replacement, begun when the reload comes"),
        pytest.param(("replace", 0.9, "reload"), id="replacement, half done when the reload comes"),
        pytest.param(("reload", "replace", "replace"), id="reload and replacements"),
        pytest.param(("kill", "reload"), id="death and reload"),
        pytest.param(("kill", 0.6, "reload"), id="death, another begun when the reload comes"),
        pytest.param(("reload", "kill"), id="reload and death"),
        pytest.param(("replace", 0.4, "kill", "reload", "kill"), id="all of them"),
    ],
)
def test_every_worker_obeys_once_the_status_says_so(
    operator: Operator, steps: tuple[Step, ...]
) -> None:
    sidecar = operator.sidecar
    before = status_of(sidecar)["generation"]
    replaced = sidecar.log().count("all workers replaced")
    operator.write(CLOSED)
    for step in steps:
        if isinstance(step, float):
            time.sleep(step)
        else:
            getattr(operator, step)()
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] > before, seconds=60)
    assert operator.ask_everybody() == {403}
    if "replace" in steps:
        sidecar.wait_until(
            lambda: sidecar.log().count("all workers replaced") > replaced, seconds=60
        )
    sidecar.wait_until(operator.settled, seconds=60)
    assert operator.ask_everybody() == {403}
    generations = {each["generation"] for each in status_of(sidecar)["workers"]}
    assert generations == {status_of(sidecar)["generation_wanted"]}


@pytest.mark.parametrize("workers", [1, 2])
def test_of_many_reloads_the_last_file_is_obeyed(
    start_sidecar: SidecarStarter, workers: int
) -> None:
    sidecar = start_sidecar(config(OPEN, workers=workers), wait_for="/healthz")
    operator = Operator(sidecar, workers=workers)
    for rule in (OPEN, CLOSED, OPEN, OPEN, CLOSED):
        operator.write(rule)
        operator.reload()
        time.sleep(0.05)
    sidecar.wait_until(lambda: check(sidecar) == 403)
    sidecar.wait_until(operator.settled)
    time.sleep(0.3)
    assert operator.ask_everybody() == {403}
    # One of them ran while the others came, one more was for all of these, or a few.
    assert 2 <= status_of(sidecar)["generation"] <= 6


def test_a_worker_that_hangs_takes_part_again_as_another(operator: Operator) -> None:
    sidecar = operator.sidecar
    before = workers_of(sidecar)
    for pid in before.values():
        os.kill(pid, signal.SIGSTOP)
    sidecar.wait_for("/healthz", status=503)
    assert "it does not answer" in sidecar.get_ops("/readyz")[1].decode()
    generation = status_of(sidecar)["generation"]
    operator.write(CLOSED)
    operator.reload()
    sidecar.wait_until(lambda: status_of(sidecar)["generation_wanted"] > generation)
    assert status_of(sidecar)["generation"] == generation
    assert [each["lagging"] for each in status_of(sidecar)["workers"]] == [True, True]
    sidecar.wait_for("/healthz", seconds=60)
    sidecar.wait_until(operator.settled, seconds=60)
    assert not set(before.values()) & set(workers_of(sidecar).values())
    assert operator.ask_everybody() == {403}


def limit_descriptors(pid: int) -> Callable[[], object]:
    """Leave a process without a single descriptor; what this gives lets it have some again."""
    time.sleep(0.2)  # connections of ours that end take theirs with them
    used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    lowest = min(set(range(len(used) + 1)) - used)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_a_worker_dies_while_there_is_no_descriptor_for_another(operator: Operator) -> None:
    sidecar = operator.sidecar
    failed = sidecar.log().count("worker cannot be started")
    before = workers_of(sidecar)
    restore = limit_descriptors(sidecar.process.pid)
    # One for the next pair of sockets is free now, two are not.
    os.kill(before[1], signal.SIGKILL)
    with contextlib.ExitStack() as taken:
        taken.callback(restore)
        deadline = time.monotonic() + 20
        while sidecar.log().count("worker cannot be started") == failed:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert answers(sidecar), "the other one does"
    sidecar.wait_until(operator.settled, seconds=60)
    assert workers_of(sidecar)[1] != before[1]
    assert workers_of(sidecar)[2] == before[2]


def test_a_reload_while_there_is_no_descriptor_is_made_up_for(
    start_sidecar: SidecarStarter,
) -> None:
    sidecar = start_sidecar(config(OPEN, workers=1))
    operator = Operator(sidecar, workers=1)
    operator.write(CLOSED)
    restore = limit_descriptors(sidecar.process.pid)
    operator.reload()
    deadline = time.monotonic() + 20
    while "could not be loaded, trying again" not in sidecar.log():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    restore()
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert check(sidecar) == 403
    assert status_of(sidecar)["last_reload_error"] is None


@contextlib.contextmanager
def held_up_start(
    directory: Path, *, workers: int
) -> Iterator[tuple[subprocess.Popen[bytes], Path, dict[str, Any]]]:
    """A server that has begun to read its configuration, and waits for a secret key to be written."""
    key = directory / "key"
    os.mkfifo(key)
    content = complete(workers=workers)
    content |= {"secret_keys": [{"file": str(key)}], "sessions": {"store": "redis://127.0.0.1:1"}}
    path = directory / "authz-sidecar.yaml"
    path.write_text(json.dumps(content))
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "authz_sidecar", "serve", "--config", str(path)], stderr=log
        ) as process,
    ):
        try:
            yield process, key, content
        finally:
            process.kill()


def ops_of(content: dict[str, Any], path: str) -> dict[str, Any]:
    host, _, port = content["server"]["ops_listen"].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", path)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_signals_that_come_during_the_start_are_obeyed_after_it(
    tmp_path: Path, workers: int
) -> None:
    with held_up_start(tmp_path, workers=workers) as (process, key, content):
        with key.open("w") as pipe:  # opens when the other side does
            process.send_signal(signal.SIGUSR2)
            process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            (tmp_path / "new").write_text("k" * 40)
            (tmp_path / "new").rename(key)
            pipe.write("k" * 40)
        deadline = time.monotonic() + 60
        generation = 0
        while generation < 2:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
            with contextlib.suppress(OSError):
                generation = ops_of(content, "/status")["generation"]
        said = "nothing to replace" if workers == 1 else "all workers replaced"
        while said not in (tmp_path / "log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("stopping", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_start_can_be_called_off(tmp_path: Path, stopping: signal.Signals) -> None:
    with held_up_start(tmp_path, workers=2) as (process, key, _), key.open("w"):
        process.send_signal(stopping)
        assert process.wait(10) == 0
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((), id="workers are being started"),
        pytest.param((1.5, "replace", 0.3), id="a worker is being replaced"),
        pytest.param((1.5, "kill", 0.7), id="a worker is being started again"),
        pytest.param((1.5, "reload"), id="a reload has begun"),
    ],
)
def test_the_end_can_come_at_any_time(
    start_sidecar: SidecarStarter, steps: tuple[Step, ...]
) -> None:
    sidecar = start_sidecar(config(OPEN, workers=2), wait_for="/status")
    operator = Operator(sidecar, workers=2)
    for step in steps:
        if isinstance(step, float):
            time.sleep(step)
        else:
            getattr(operator, step)()
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(sidecar.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    assert children
    sidecar.process.terminate()
    assert sidecar.process.wait(20) == 0
    assert not any(is_alive(int(pid)) for pid in children)
    assert "Traceback" not in sidecar.log()
