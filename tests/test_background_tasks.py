"""No background task ends unnoticed: failures are logged, what is to run on is started again, and no
other module of the package starts a task."""

from __future__ import annotations

import ast
import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.background_tasks import BackgroundTasks

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parent.parent / "authz_sidecar"
STARTS = frozenset({"create_task", "ensure_future", "run_coroutine_threadsafe", "Thread"})


class Step:
    """Ends as listed, one call after the other, and then runs on."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.ends = list(ends)
        self.calls = 0
        self.runs_on = asyncio.Event()

    async def __call__(self) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if not self.ends:
            self.runs_on.set()
            await asyncio.Event().wait()
        end = self.ends.pop(0)
        if end is not None:
            raise end


def quick() -> BackgroundTasks:
    return BackgroundTasks(first_pause_seconds=0.001, max_pause_seconds=0.004)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name != "asyncio"]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(RuntimeError("a bug"), id="a bug"),
        pytest.param(OSError(24, "too many open files"), id="the operating system"),
        pytest.param(MemoryError(), id="no memory"),
        pytest.param(ExceptionGroup("several", [ValueError("one")]), id="a task group"),
        pytest.param(asyncio.CancelledError(), id="something that it waited for was cancelled"),
        pytest.param(TimeoutError(), id="time ran out"),
    ],
)
async def test_a_task_that_is_kept_starts_again(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    tasks, step = quick(), Step(failure, failure)
    task = tasks.supervise(step, name="poll")
    await asyncio.wait_for(step.runs_on.wait(), 5)
    assert step.calls == 3
    assert lines(caplog) == [
        "background task `poll` failed, it starts again in 0.001 s",
        "background task `poll` failed, it starts again in 0.002 s",
    ]
    assert all(record.exc_info for record in caplog.records)
    await tasks.aclose()
    assert task.cancelled()


async def test_pauses_grow_up_to_their_bound(caplog: pytest.LogCaptureFixture) -> None:
    tasks, step = quick(), Step(*[ValueError()] * 5)
    tasks.supervise(step, name="poll")
    await asyncio.wait_for(step.runs_on.wait(), 5)
    pauses = [line.split()[-2] for line in lines(caplog)]
    assert pauses == ["0.001", "0.002", "0.004", "0.004", "0.004"]
    await tasks.aclose()


async def test_a_task_that_has_done_its_work_is_not_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, step = quick(), Step(ValueError(), None)
    await asyncio.wait_for(tasks.supervise(step, name="first contact"), 5)
    assert step.calls == 2
    assert len(lines(caplog)) == 1


async def test_the_failure_of_a_single_task_is_logged_while_its_owner_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = BackgroundTasks()
    task = tasks.start(Step(ValueError("a bug"))(), name="write")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert lines(caplog) == ["background task `write` failed"]
    assert "a bug" in caplog.text


@pytest.mark.parametrize(
    ("end", "logged"),
    [
        pytest.param(None, 0, id="none"),
        pytest.param(KeyError("an answer"), 0, id="an answer to the caller"),
        pytest.param(ValueError("a bug"), 1, id="a bug"),
    ],
)
async def test_answers_to_the_caller_are_not_logged(
    end: Exception | None, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = BackgroundTasks()
    await asyncio.wait([tasks.start(Step(end)(), name="question", expected=(LookupError,))])
    await asyncio.sleep(0)
    assert len(lines(caplog)) == logged


async def test_closing_ends_every_task_and_starts_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tasks = BackgroundTasks(first_pause_seconds=60)
    running, pausing = Step(), Step(ValueError())
    started = [
        tasks.supervise(running, name="running"),
        tasks.supervise(pausing, name="pausing"),
        tasks.start(Step()(), name="single"),
    ]
    await asyncio.wait_for(running.runs_on.wait(), 5)
    while not lines(caplog):  # noqa: ASYNC110 - the pause has no event
        await asyncio.sleep(0)
    await tasks.aclose()
    assert all(task.cancelled() for task in started)
    assert (running.calls, pausing.calls) == (1, 1)
    await tasks.aclose()


async def test_the_owner_may_close_from_one_of_its_own_tasks() -> None:
    tasks, other = BackgroundTasks(), Step()

    async def leave() -> str:
        await tasks.aclose()
        return "left"

    tasks.supervise(other, name="other")
    assert await asyncio.wait_for(tasks.start(leave(), name="leave"), 5) == "left"


def starts(path: Path) -> Iterator[str]:
    """Every place where a module starts a task or a thread itself. Task groups are no such place: what fails in
    one fails in the `async with` that waits for it."""
    tree = ast.parse(path.read_text())
    groups = {
        item.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if ast.unparse(item.context_expr) == "asyncio.TaskGroup()"
        and isinstance(item.optional_vars, ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, attr=name) if name in STARTS:
                if not (isinstance(owner, ast.Name) and owner.id in groups):
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"
            case ast.ImportFrom(names=names):
                for alias in names:
                    if alias.name in STARTS:
                        yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {alias.name}"
            case _:
                pass


def test_no_other_module_starts_a_task() -> None:
    found = {path: list(starts(path)) for path in PACKAGE.rglob("*.py")}
    assert len(found.pop(PACKAGE / "background_tasks.py")) == 1
    # Watches over the event loop, which cannot do that itself.
    assert len(found.pop(PACKAGE / "server" / "watchdog.py")) == 1
    assert [each for several in found.values() for each in several] == []
