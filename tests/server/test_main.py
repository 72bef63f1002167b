"""The process as an operator meets it: starts, refusals to start, signals, reloads, workers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.sidecar import Sidecar, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.sidecar import SidecarStarter

SECRET = "a secret of more than thirty-two bytes"
PUBLIC = {
    "name": "docs",
    "from": "https://docs.example.com",
    "allow_public_unauthenticated_access": True,
}


def config(**server: Any) -> dict[str, Any]:
    return {"server": {"adapters": ["traefik"], **server}, "routes": [PUBLIC]}


def with_routes(*names: str) -> dict[str, Any]:
    routes = [{**PUBLIC, "name": name, "from": f"https://{name}.example.com"} for name in names]
    return {"server": {"adapters": ["traefik"]}, "routes": routes}


def status_of(sidecar: Sidecar) -> dict[str, Any]:
    code, body = sidecar.get_ops("/status")
    assert code == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


def metric(sidecar: Sidecar, line: str) -> float:
    for each in sidecar.get_ops("/metrics")[1].decode().splitlines():
        if each.startswith(f"{line} "):
            return float(each.rpartition(" ")[2])
    return 0.0


def refused_start(directory: Path, content: Mapping[str, Any], *arguments: str) -> str:
    """What an attempt to start says on its standard error; its exit code must be 2."""
    path = directory / "authz-sidecar.yaml"
    path.write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, "-m", "authz_sidecar", "serve", "--config", str(path), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def complete(**server: Any) -> dict[str, Any]:
    check, web, ops = free_ports(3)
    names = {"listen": check, "web_listen": web, "ops_listen": ops}
    listeners = {name: f"127.0.0.1:{port}" for name, port in names.items()}
    return {
        "server": {**listeners, **server},
        "secret_keys": [SECRET],
        "sessions": {"store": "memory://"},
        "routes": [PUBLIC],
    }


def test_it_starts_and_says_where(start_sidecar: SidecarStarter) -> None:
    sidecar = start_sidecar(config())
    assert sidecar.get_ops("/healthz")[0] == 200
    assert json.loads(sidecar.get_ops("/readyz")[1]) == {"ready": True}
    assert sidecar.get_ops("/nothing")[0] == 404
    sidecar.wait_until(lambda: " listens" in sidecar.log())  # said once all three answer
    line = json.loads(sidecar.log().splitlines()[-1])
    assert line["check"] == str(sidecar.check)
    assert line["ops"] == str(sidecar.ops)
    status = status_of(sidecar)
    assert status["generation"] == 1
    assert status["routes"] == 1
    assert status["last_reload_error"] is None


@pytest.mark.parametrize("stopping", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_stops_when_told(start_sidecar: SidecarStarter, stopping: signal.Signals) -> None:
    sidecar = start_sidecar(config())
    with socket.create_connection(sidecar.check):  # an idle connection holds nothing up
        sidecar.process.send_signal(stopping)
        assert sidecar.process.wait(10) == 0
    assert "Traceback" not in sidecar.log()


@pytest.mark.parametrize("setting", ["listen", "web_listen", "ops_listen"])
def test_a_taken_port(tmp_path: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused_start(tmp_path, complete(**{setting: address}))
    assert said == (
        f"authz-sidecar: cannot listen on `server.{setting}: {address}`:"
        " the address is in use; another process listens there\n"
    )


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("unix:{}/none/x.sock", "the directory does not exist", id="no directory"),
        pytest.param(
            "unix:{}/file", "a file that is no socket is in the way", id="a file in the way"
        ),
        pytest.param("192.0.2.1:9180", "this machine has no such address", id="no such address"),
    ],
)
def test_a_place_that_cannot_be_listened_on(tmp_path: Path, address: str, reason: str) -> None:
    (tmp_path / "file").write_text("precious")
    listen = address.format(tmp_path)
    said = refused_start(tmp_path, complete(listen=listen, trusted_proxies=["192.0.2.1/32"]))
    assert f"`server.listen: {listen}`: {reason}" in said
    assert (tmp_path / "file").read_text() == "precious"


def test_a_unix_socket(start_sidecar: SidecarStarter, tmp_path: Path) -> None:
    path = tmp_path / "check.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))  # of a process that was killed
    sidecar = start_sidecar(config(listen=f"unix:{path}"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 ")
    sidecar.process.terminate()
    sidecar.process.wait(10)
    assert not path.exists()


def test_a_unix_socket_in_use(start_sidecar: SidecarStarter, tmp_path: Path) -> None:
    path = tmp_path / "check.sock"
    start_sidecar(config(listen=f"unix:{path}"))
    said = refused_start(tmp_path, complete(listen=f"unix:{path}"))
    assert "the address is in use" in said
    assert path.exists()


def test_a_wrong_configuration_starts_nothing(tmp_path: Path) -> None:
    content = complete(listne="127.0.0.1:1")
    content["secret_keys"] = ["short"]
    content["routes"] = [{**PUBLIC, "policies": ["nobody"]}]
    said = refused_start(tmp_path, content)
    for mistake in ("listne", "at least 32", "nobody"):
        assert mistake in said
    assert all(line.startswith(f"{tmp_path}/authz-sidecar.yaml:") for line in said.splitlines())


def test_a_wrong_policy_starts_nothing(tmp_path: Path) -> None:
    content = complete()
    content["routes"] = [{**PUBLIC, "policies": ["nobody"]}]
    assert "nobody" in refused_start(tmp_path, content)


def test_reload(start_sidecar: SidecarStarter) -> None:
    sidecar = start_sidecar(with_routes("one"))
    sidecar.write_config(with_routes("one", "two"))
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert status_of(sidecar)["routes"] == 2
    assert metric(sidecar, "authz_config_generation") == 2
    assert metric(sidecar, "authz_routes") == 2


def test_a_bad_file_keeps_the_old_generation(start_sidecar: SidecarStarter) -> None:
    sidecar = start_sidecar(with_routes("one"))
    broken = with_routes("one", "two")
    broken["unheard_of"] = 1
    broken["routes"][1]["form"] = "x"
    sidecar.write_config(broken)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["last_reload_error"] is not None)
    status = status_of(sidecar)
    assert status["generation"] == 1
    assert status["routes"] == 1
    assert len(status["last_reload_error"]["problems"]) == 2
    assert metric(sidecar, "authz_config_last_reload_successful") == 0
    assert "unheard_of" in sidecar.log()

    sidecar.write_config(with_routes("one", "two"))
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert status_of(sidecar)["last_reload_error"] is None
    assert metric(sidecar, "authz_config_last_reload_successful") == 1


def with_a_broken_route() -> dict[str, Any]:
    broken = with_routes("one", "two")
    broken["routes"][1]["policy"] = [{"allow": {"or": [{"emial": {"is": "a@b.c"}}]}}]
    return broken


def check_status(sidecar: Sidecar, host: str) -> int:
    connection = http.client.HTTPConnection(*sidecar.check, timeout=5)
    facts = {"Method": "GET", "Proto": "https", "Host": host, "Uri": "/"}
    headers = {f"X-Forwarded-{name}": value for name, value in facts.items()}
    headers["X-Forwarded-For"] = "127.0.0.1"
    try:
        connection.request("GET", "/auth/traefik", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def says_what_it_refuses(sidecar: Sidecar) -> None:
    assert check_status(sidecar, "one.example.com") == 200
    assert check_status(sidecar, "two.example.com") == 403
    status = status_of(sidecar)
    assert status["routes"] == 2
    assert status["routes_refused"] == ["two"]
    assert len(status["problems"]) == 1
    assert "`emial`" in status["problems"][0]
    assert metric(sidecar, "authz_routes_refused") == 1
    assert "`emial`" in sidecar.log()
    assert "served despite problems" in sidecar.log()


def test_a_broken_route_keeps_it_from_starting(tmp_path: Path) -> None:
    content = {**complete(), "routes": with_a_broken_route()["routes"]}
    assert "`emial`" in refused_start(tmp_path, content)


def test_a_lenient_start_refuses_the_broken_route_alone(start_sidecar: SidecarStarter) -> None:
    says_what_it_refuses(start_sidecar(with_a_broken_route(), arguments=("--lenient",)))


def test_a_lenient_start_wants_sound_settings(tmp_path: Path) -> None:
    content = {**complete(), "routes": with_a_broken_route()["routes"], "unheard_of": 1}
    said = refused_start(tmp_path, content, "--lenient")
    assert "unheard_of" in said
    assert "`emial`" in said


def test_a_reload_refuses_the_broken_route_alone(start_sidecar: SidecarStarter) -> None:
    sidecar = start_sidecar(with_routes("one", "two"))
    assert status_of(sidecar)["problems"] == []
    sidecar.write_config(with_a_broken_route())
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    says_what_it_refuses(sidecar)

    sidecar.write_config(with_routes("one", "two"))
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 3)
    assert check_status(sidecar, "two.example.com") == 200
    assert metric(sidecar, "authz_routes_refused") == 0


def test_tables_of_records_are_read_again(start_sidecar: SidecarStarter, tmp_path: Path) -> None:
    table = tmp_path / "sites.csv"
    table.write_text("network,blocked\n127.0.0.0/8,false\n")
    rule = {"record": {"type": "sites", "by": "address", "field": "blocked", "is": True}}
    configured = with_routes("one")
    configured["records"] = {
        "sites": {"by": "address", "format": "csv", "table": {"file": str(table)}}
    }
    configured["routes"][0]["policy"] = {"deny": {"or": [rule]}}
    sidecar = start_sidecar(configured)
    assert check_status(sidecar, "one.example.com") == 200
    table.write_text("network,blocked\n127.0.0.0/8,true\n")
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert check_status(sidecar, "one.example.com") == 403

    table.write_text("network\n")
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["last_reload_error"] is not None)
    assert check_status(sidecar, "one.example.com") == 403


def test_a_route_without_a_place_keeps_the_old_generation(start_sidecar: SidecarStarter) -> None:
    sidecar = start_sidecar(with_routes("one"))
    displaced = with_routes("one", "two")
    displaced["routes"][1]["from"] = "https://two..example.com"
    sidecar.write_config(displaced)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["last_reload_error"] is not None)
    assert status_of(sidecar)["generation"] == 1


def test_a_listener_that_moved_needs_a_restart(start_sidecar: SidecarStarter) -> None:
    sidecar = start_sidecar(with_routes("one"))
    moved = with_routes("one")
    moved["server"]["web_listen"] = f"127.0.0.1:{free_ports(1)[0]}"
    sidecar.write_config(moved)
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert status_of(sidecar)["needs_restart"] == ["server.web_listen"]


def test_one_worker_has_nothing_to_replace(start_sidecar: SidecarStarter) -> None:
    sidecar = start_sidecar(config())
    sidecar.process.send_signal(signal.SIGUSR2)
    sidecar.wait_until(lambda: "nothing to replace" in sidecar.log())
    assert sidecar.get_ops("/healthz")[0] == 200


def with_workers(**more: Any) -> dict[str, Any]:
    # Nothing listens there: these tests are about processes, which come up without a store.
    return {**config(workers=2), "sessions": {"store": "redis://127.0.0.1:1/0"}, **more}


def workers_of(sidecar: Sidecar) -> dict[int, int]:
    """Process id by worker, of those that are alive."""
    workers = status_of(sidecar)["workers"]
    return {each["worker"]: each["pid"] for each in workers if each["alive"]}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def answers(sidecar: Sidecar) -> bool:
    with socket.create_connection(sidecar.check, timeout=5) as client:
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return client.recv(65536).startswith(b"HTTP/1.1 ")


def start_workers(start_sidecar: SidecarStarter) -> Sidecar:
    sidecar = start_sidecar(with_workers(), wait_for="/healthz")
    sidecar.wait_until(lambda: len(workers_of(sidecar)) == 2 and " listens" in sidecar.log())
    return sidecar


def test_workers_answer_and_end_with_the_parent(start_sidecar: SidecarStarter) -> None:
    sidecar = start_workers(start_sidecar)
    assert answers(sidecar)
    pids = workers_of(sidecar).values()
    sidecar.process.terminate()
    assert sidecar.process.wait(20) == 0
    assert not any(map(is_alive, pids))
    assert "Traceback" not in sidecar.log()


def test_workers_end_when_the_parent_is_killed(start_sidecar: SidecarStarter) -> None:
    sidecar = start_workers(start_sidecar)
    pids = tuple(workers_of(sidecar).values())
    sidecar.process.kill()
    sidecar.process.wait(10)
    deadline = time.monotonic() + 10
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))


def test_a_dead_worker_is_replaced(start_sidecar: SidecarStarter) -> None:
    sidecar = start_workers(start_sidecar)
    before = workers_of(sidecar)
    # A file that has been spoilt since is no obstacle.
    sidecar.config_path.write_text("nonsense: [")
    os.kill(before[1], signal.SIGKILL)
    sidecar.wait_until(lambda: workers_of(sidecar).get(1, before[1]) != before[1])
    assert workers_of(sidecar)[2] == before[2]
    assert answers(sidecar)


def test_replacing_workers_refuses_nobody(start_sidecar: SidecarStarter) -> None:
    sidecar = start_workers(start_sidecar)
    before = workers_of(sidecar)
    asked = 0
    sidecar.process.send_signal(signal.SIGUSR2)
    while "all workers replaced" not in sidecar.log():
        assert answers(sidecar)
        asked += 1
    after = workers_of(sidecar)
    assert asked > 10
    assert not set(before.values()) & set(after.values())
    assert not any(map(is_alive, before.values()))


def test_workers_take_a_new_configuration(start_sidecar: SidecarStarter) -> None:
    sidecar = start_workers(start_sidecar)
    pids = workers_of(sidecar)
    broken = {**PUBLIC, "name": "c", "prefix": "/c", "policies": ["none"]}
    more = [PUBLIC, {**PUBLIC, "name": "b", "prefix": "/b"}, broken]
    sidecar.write_config(with_workers(routes=more))
    sidecar.process.send_signal(signal.SIGHUP)
    sidecar.wait_until(lambda: status_of(sidecar)["generation"] == 2)
    assert status_of(sidecar)["routes"] == 3
    assert status_of(sidecar)["routes_refused"] == ["c"]
    assert metric(sidecar, "authz_routes_refused") == 1
    assert workers_of(sidecar) == pids


def test_refusals_of_all_workers_add_up(start_sidecar: SidecarStarter) -> None:
    sidecar = start_workers(start_sidecar)
    for _ in range(20):
        with socket.create_connection(sidecar.check, timeout=5) as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 400")
    line = 'authz_connections_refused_total{listener="check",status="400"}'
    assert metric(sidecar, line) == 20
    sidecar.process.send_signal(signal.SIGUSR2)
    sidecar.wait_until(lambda: "all workers replaced" in sidecar.log())
    assert metric(sidecar, line) == 20  # of workers that are gone
