"""The pool of workers with real processes: whatever keeps one from being started, it is tried again;
one that hangs is replaced; and none answers by another configuration than the wanted one for good."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.config.schema import Config
from authz_sidecar.config.value_parsers import TcpAddress
from authz_sidecar.observe.metrics import Metrics, render
from authz_sidecar.server.listeners import bind
from authz_sidecar.server.worker_pool import WorkerPool, WorkerSpec
from authz_sidecar.server.worker_timeouts import WorkerTimeouts

if TYPE_CHECKING:
    from pathlib import Path

HOST = "app.example.com"
TIMEOUTS = WorkerTimeouts(
    start_seconds=60.0,
    stop_seconds=20.0,
    lag_seconds=60.0,
    first_pause_seconds=0.1,
    max_pause_seconds=0.5,
)
IMPATIENT = WorkerTimeouts(
    start_seconds=6.0, exit_seconds=0.5, first_pause_seconds=0.1, max_pause_seconds=0.5
)


def config(*, public: bool) -> Config:
    rule: dict[str, Any] = (
        {"allow_public_unauthenticated_access": True} if public else {"policy": []}
    )
    return Config.model_validate(
        {
            "server": {"adapters": ["traefik"], "workers": 2},
            "secret_keys": ["k" * 32],
            "sessions": {"store": "redis://127.0.0.1:1/0"},
            "routes": [{"from": f"https://{HOST}", **rule}],
        }
    )


class Pool:
    """Workers with everything that an operator can see of them."""

    def __init__(self, workers: WorkerPool, metrics: Metrics, port: int) -> None:
        self.workers = workers
        self.metrics = metrics
        self.port = port
        self.generations: list[int] = []
        workers.on_generation = self.generations.append

    def status(self) -> list[dict[str, Any]]:
        return self.workers.describe()

    def metric(self, line: str) -> float:
        for each in render(self.metrics.snapshot()).decode().splitlines():
            if each.startswith(f"{line} "):
                return float(each.rpartition(" ")[2])
        return 0.0

    async def check(self) -> int:
        return await asyncio.to_thread(self._check)

    def _check(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        facts = {"Method": "GET", "Proto": "https", "Host": HOST, "Uri": "/", "For": "192.0.2.9"}
        try:
            headers = {f"X-Forwarded-{name}": value for name, value in facts.items()}
            connection.request("GET", "/auth/traefik", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    async def until(self, holds: Callable[[], bool], *, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - as an operator sees it, again and again
                await asyncio.sleep(0.02)

    def all_answer(self) -> bool:
        return all(each["answering"] for each in self.status())

    def pids(self) -> list[int]:
        return [each["pid"] for each in self.status()]


Starter = Callable[..., AbstractAsyncContextManager[Pool]]


@pytest.fixture
async def pool() -> Starter:
    @contextlib.asynccontextmanager
    async def start(
        *,
        count: int = 1,
        public: bool = True,
        executable: Path | str = sys.executable,
        timeouts: WorkerTimeouts = TIMEOUTS,
    ) -> AsyncIterator[Pool]:
        with contextlib.ExitStack() as opened:
            sockets = {}
            for name in ("check", "web"):
                (listener,) = bind("server.listen", TcpAddress("127.0.0.1", 0))
                sockets[name] = (opened.enter_context(listener),)
            metrics = Metrics(version="", with_process_metrics=False)
            workers = WorkerPool(
                spec=WorkerSpec(
                    sockets=sockets,
                    log_format="json",
                    log_level="ERROR",
                    executable=str(executable),
                    timeouts=timeouts,
                ),
                config=config(public=public),
                count=count,
                metrics=metrics,
            )
            workers.start()
            try:
                yield Pool(workers, metrics, sockets["check"][0].getsockname()[1])
            finally:
                await workers.stop()

    return start


def script(path: Path, content: str) -> None:
    """Written beside and renamed: a program that is being written cannot be executed."""
    new = path.with_suffix(".new")
    new.write_text(f"#!/bin/sh\n{content}\n")
    new.chmod(0o755)
    new.rename(path)


SOUND = f'exec {sys.executable} "$@"'


def absent(_path: Path) -> None:
    pass


def not_executable(path: Path) -> None:
    script(path, SOUND)
    path.chmod(0o644)


def no_program(path: Path) -> None:
    path.write_bytes(b"\x7fELF nothing")
    path.chmod(0o755)


def running(content: str) -> Callable[[Path], None]:
    return lambda path: script(path, content)


def in_python(statements: str) -> Callable[[Path], None]:
    control = "control = int(sys.argv[sys.argv.index('--control') + 1])"
    code = f"import os, sys, time; {control}; {statements}"
    return running(f'exec {sys.executable} -c "{code}" "$@"')


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(absent, "No such file", id="there is no such program"),
        pytest.param(not_executable, "Permission denied", id="the program may not be executed"),
        pytest.param(no_program, "Exec format error", id="the program is damaged"),
        pytest.param(running("exit 3"), "exit code 3", id="it dies at once"),
        pytest.param(running("kill -9 $$"), "exit code -9", id="it is killed at once"),
        pytest.param(
            running(f'exec {sys.executable} -c "import nothing_like_this"'),
            "exit code 1",
            id="it dies at an import",
        ),
        pytest.param(running("exec sleep 60"), "not ready", id="it never reports ready"),
        pytest.param(
            in_python("os.close(control); time.sleep(60)"),
            "exit code -9",
            id="it closes the channel and stays",
        ),
        pytest.param(
            # A message of four bytes, `null`, and no configuration.
            in_python("os.write(control, bytes(7) + b'\\4' + bytes(8) + b'null'); time.sleep(60)"),
            "exit code -9",
            id="it does not talk like a worker",
        ),
    ],
)
async def test_a_worker_that_cannot_be_started_is_tried_again(
    pool: Starter,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[Path], None],
    reason: str,
) -> None:
    program = tmp_path / "python"
    fault(program)
    async with pool(executable=program, timeouts=IMPATIENT) as started:
        await started.workers.wait_for_first_attempts()
        await started.until(
            lambda: started.metric('authz_worker_restarts_total{reason="not-started"}') > 0
        )
        assert not started.workers.answering
        (status,) = started.status()
        assert (status["alive"], status["pid"]) == (False, None)
        assert reason in status["trouble"]
        assert list(await started.workers.missing()) == ["worker 1"]
        assert started.metric("authz_workers_answering") == 0
        lines = [each.getMessage() for each in caplog.records]
        assert lines.count("worker cannot be started, trying again") > 0

        script(program, SOUND)
        await started.until(lambda: started.workers.answering)
        assert await started.check() == 200
        (status,) = started.status()
        assert status["trouble"] is None


async def test_pauses_between_attempts_grow(
    pool: Starter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool(executable=tmp_path / "python", timeouts=IMPATIENT) as started:
        failed = 'authz_worker_restarts_total{reason="not-started"}'
        await started.until(lambda: started.metric(failed) >= 5)
    pauses = [each.fields["pause-seconds"] for each in caplog.records if hasattr(each, "fields")]
    assert pauses[:5] == [0.1, 0.2, 0.4, 0.5, 0.5]


async def test_a_replacement_that_cannot_be_started_leaves_the_old_worker_and_is_tried_again(
    pool: Starter, tmp_path: Path
) -> None:
    program = tmp_path / "python"
    script(program, SOUND)
    async with pool(executable=program) as started:
        await started.until(started.all_answer)
        (before,) = started.pids()
        script(program, "exit 3")
        async with asyncio.TaskGroup() as tasks:
            replacing = tasks.create_task(started.workers.replace())
            failed = 'authz_worker_restarts_total{reason="not-started"}'
            await started.until(lambda: started.metric(failed) > 1)
            assert started.pids() == [before]
            # A configuration that is wanted meanwhile does not wait for the replacement.
            await started.workers.set_target_config(2, config(public=False))
            await started.until(lambda: started.generations[-1:] == [2])
            assert await started.check() == 403
            assert not replacing.done()
            script(program, SOUND)
        assert started.pids() != [before]
        assert await started.check() == 403


async def test_a_worker_that_hangs_is_killed_and_replaced(
    pool: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    timeouts = WorkerTimeouts(max_missed_heartbeats=5, late_heartbeats=3, first_pause_seconds=0.1)
    async with pool(timeouts=timeouts) as started:
        await started.until(started.all_answer)
        (before,) = started.pids()
        os.kill(before, signal.SIGSTOP)
        await started.until(lambda: not started.workers.answering)
        assert started.status()[0]["trouble"] == "it does not answer"
        assert (await started.workers.missing())["worker 1"] == "it does not answer"
        await started.until(lambda: started.workers.answering)
        assert started.pids() != [before]
        with pytest.raises(ProcessLookupError):
            os.kill(before, 0)
        assert started.metric('authz_worker_restarts_total{reason="hung"}') == 1
        assert "a worker hangs, killing it" in caplog.messages


async def test_a_worker_that_is_stopped_for_a_moment_stays(
    pool: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with pool() as started:
        await started.until(started.all_answer)
        (before,) = started.pids()
        os.kill(before, signal.SIGSTOP)
        await started.until(lambda: not started.workers.answering)
        os.kill(before, signal.SIGCONT)
        await started.until(lambda: started.workers.answering)
        assert started.pids() == [before]
    assert caplog.messages == []


async def test_a_worker_that_is_being_started_never_answers_by_an_old_configuration(
    pool: Starter, tmp_path: Path
) -> None:
    """The order that used to be lost: the configuration changes while a worker is replaced."""
    program, gate = tmp_path / "python", tmp_path / "gate"
    script(program, SOUND)
    async with pool(executable=program) as started:
        await started.until(started.all_answer)
        script(program, f"while ! test -e {gate}; do sleep 0.02; done; {SOUND}")
        async with asyncio.TaskGroup() as tasks:
            replacing = tasks.create_task(started.workers.replace())
            await asyncio.sleep(0.2)
            await started.workers.set_target_config(2, config(public=False))
            await started.until(lambda: started.generations[-1:] == [2])
            assert {await started.check() for _ in range(5)} == {403}
            gate.touch()
            statuses = {await started.check()}
            while not replacing.done():
                statuses.add(await started.check())
        assert statuses == {403}
        assert started.status()[0]["generation"] == 2


async def test_a_configuration_that_a_worker_does_not_take_is_told_and_the_worker_replaced(
    pool: Starter, caplog: pytest.LogCaptureFixture
) -> None:
    async with pool() as started:
        await started.until(started.all_answer)
        (before,) = started.pids()
        started.workers.target.replace(generation=2, config=b"nothing that can be read")
        failed = 'authz_worker_restarts_total{reason="not-started"}'
        await started.until(lambda: started.metric(failed) > 0)
        (status,) = started.status()
        assert (status["pid"], status["generation"], status["lagging"]) == (before, 1, True)
        assert "generation 1 of the configuration, not by 2" in status["trouble"]
        assert list(await started.workers.missing()) == ["worker 1", "session store"]
        assert started.metric("authz_workers_lagging") == 1
        assert started.metric('authz_worker_config_generation{worker="1"}') == 1
        assert max(started.generations) == 1

        await started.workers.set_target_config(3, config(public=False))
        await started.until(lambda: started.generations[-1:] == [3])
        assert await started.check() == 403
        assert started.metric("authz_workers_lagging") == 0
