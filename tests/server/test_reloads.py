"""One reload at a time, one more for all that came meanwhile, and none lost, whatever fails."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.background_tasks import BackgroundTasks
from authz_sidecar.errors import ConfigError, Problem, StartupError, TemporaryError
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.server import reloads as module
from authz_sidecar.server.reload_status import ReloadStatus
from authz_sidecar.server.reloads import CoalescingRunner, ReloadRunner
from tests.server.test_hot_reload import application

if TYPE_CHECKING:
    from authz_sidecar.app import Application

BROKEN = ConfigError((Problem(file="f", line=1, column=1, message="broken"),))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "REST_SECONDS", 0.01)


class Server:
    """`load` and `use` end as listed, one call after the other, and then well."""

    def __init__(
        self, *, load: tuple[Exception, ...] = (), use: tuple[Exception, ...] = ()
    ) -> None:
        self.history = ReloadStatus(
            application(), metrics=Metrics(version="", with_process_metrics=False)
        )
        self.loads = self.uses = 0
        self._load_ends, self._use_ends = list(load), list(use)
        self.reloads = ReloadRunner(load=self._load, activate=self._use, status=self.history)

    def _load(self) -> Application:
        self.loads += 1
        assert threading.current_thread() is not threading.main_thread()
        if self._load_ends:
            raise self._load_ends.pop(0)
        return application(routes=[])

    async def _use(self, generation: int, loaded: Application) -> None:
        self.uses += 1
        assert loaded.route_count == 0
        if self._use_ends:
            raise self._use_ends.pop(0)
        self.history.record_active(generation)

    async def reload(self) -> dict[str, Any]:
        """Ask once; the status when nothing is left to do."""
        tasks = BackgroundTasks()
        tasks.supervise(self.reloads.run, name="reloads")
        self.reloads.request()
        before = (-1, -1)
        async with asyncio.timeout(20):
            while before != (before := (self.loads, self.uses)) or not self.loads:  # noqa: ASYNC110 - nothing tells of the end
                await asyncio.sleep(0.3)
        await tasks.aclose()
        return self.history.status()


async def test_a_usable_configuration() -> None:
    server = Server()
    status = await server.reload()
    assert (status["generation"], status["generation_wanted"], status["routes"]) == (2, 2, 0)
    assert (server.loads, server.uses) == (1, 1)
    assert status["reload_pending_since"] is None


async def test_a_reload_that_is_not_decided_on_is_told() -> None:
    go_on = threading.Event()
    server = Server()
    reloads = ReloadRunner(
        load=lambda: application(routes=[] if go_on.wait(20) else None),
        activate=server._use,
        status=server.history,
    )
    tasks = BackgroundTasks()
    tasks.supervise(reloads.run, name="reloads")
    assert server.history.status()["reload_pending_since"] is None
    reloads.request()
    assert server.history.status()["reload_pending_since"] is not None
    await asyncio.sleep(0.05)
    reloads.request()
    go_on.set()
    async with asyncio.timeout(20):
        while server.history.status()["reload_pending_since"] is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert server.history.status()["generation"] == 3
    await tasks.aclose()


@pytest.mark.parametrize(
    "error", [BROKEN, StartupError("the store's URL is none")], ids=["broken", "unusable"]
)
async def test_what_is_wrong_with_the_configuration_is_told_once(error: Exception) -> None:
    server = Server(load=(error,))
    status = await server.reload()
    assert (status["generation"], status["generation_wanted"]) == (1, 1)
    assert status["last_reload_error"]["problems"] == [str(error)]
    assert (server.loads, server.uses) == (1, 0)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(TemporaryError("`f` cannot be read now"), id="no descriptor"),
        pytest.param(MemoryError(), id="no memory"),
        pytest.param(RuntimeError("can't start new thread"), id="no thread"),
        pytest.param(OSError(5, "Input/output error"), id="the disk"),
    ],
)
async def test_what_says_nothing_about_the_configuration_is_tried_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(load=(error, error))
    status = await server.reload()
    assert (status["generation"], status["generation_wanted"]) == (2, 2)
    assert status["last_reload_error"] is None
    assert server.loads == 3
    assert sum("trying again" in line for line in caplog.messages) == 2


async def test_a_configuration_that_was_judged_but_not_taken_is_taken_later() -> None:
    server = Server(use=(RuntimeError("a bug"), OSError(24, "too many open files")))
    status = await server.reload()
    assert status["generation"] == status["generation_wanted"]
    assert status["last_reload_error"] is None
    assert server.uses == 3


async def test_a_file_that_is_broken_by_the_next_attempt_is_told() -> None:
    server = Server(load=(MemoryError(), BROKEN))
    status = await server.reload()
    assert status["generation"] == 1
    assert status["last_reload_error"]["problems"] == [str(BROKEN)]
    assert server.loads == 2


async def test_an_older_generation_is_never_told_after_a_newer_one() -> None:
    history = Server().history
    first, second = (
        history.record_accepted(application()),
        history.record_accepted(application(routes=[])),
    )
    history.record_active(second)
    history.record_active(first)
    status = history.status()
    assert (status["generation"], status["generation_wanted"], status["routes"]) == (3, 3, 0)


async def test_requests_that_come_while_one_is_dealt_with_are_one_more() -> None:
    runs = 0
    going, go_on = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        nonlocal runs
        runs += 1
        going.set()
        await go_on.wait()

    tasks, coalesced = BackgroundTasks(), CoalescingRunner(step)
    tasks.supervise(coalesced.run, name="steps")
    coalesced.request()
    await going.wait()
    for _ in range(30):
        coalesced.request()
        await asyncio.sleep(0)
    assert runs == 1
    go_on.set()
    await asyncio.sleep(0.05)
    assert runs == 2
    await tasks.aclose()


async def test_between_two_runs_it_rests_as_long_as_the_last_one_took() -> None:
    clock = asyncio.get_running_loop().time
    began: list[float] = []
    ended: list[float] = []

    async def step() -> None:
        began.append(clock())
        coalesced.request()
        await asyncio.sleep(0.1 if len(began) == 1 else 0)
        ended.append(clock())

    tasks = BackgroundTasks()
    coalesced = CoalescingRunner(step, rest_seconds=0.02)
    tasks.supervise(coalesced.run, name="steps")
    coalesced.request()
    async with asyncio.timeout(20):
        while len(began) < 3:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.005)
    assert began[1] - ended[0] >= 0.09
    assert began[2] - ended[1] >= 0.019
    await tasks.aclose()


async def test_a_request_whose_step_failed_is_dealt_with_again() -> None:
    runs = 0

    async def step() -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        if runs == 1:
            raise ValueError("a bug")

    tasks = BackgroundTasks(first_pause_seconds=0.01)
    coalesced = CoalescingRunner(step)
    tasks.supervise(coalesced.run, name="steps")
    coalesced.request()
    await asyncio.sleep(0.2)
    assert runs == 2
    await tasks.aclose()
