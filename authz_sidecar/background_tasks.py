"""The background tasks of the process, started and supervised in one place.

Decides what becomes of a task that fails: the failure is logged, and a supervised task starts again
after a growing pause. Must not know what the tasks do. No other module of the package starts tasks,
so that no task ends unnoticed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0


class BackgroundTasks:
    """The background tasks of one owner, which closes them with itself.

    `first_pause_seconds`: the pause before a failed task starts again; it doubles with each failure
      in a row.
    `max_pause_seconds`: the upper bound of the pause.
    """

    def __init__(
        self,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        max_pause_seconds: float = MAX_PAUSE_SECONDS,
    ) -> None:
        self._first_pause = first_pause_seconds
        self._max_pause = max_pause_seconds
        # The event loop itself refers to its tasks weakly.
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def start(
        self,
        coroutine: Coroutine[Any, Any, T],
        *,
        name: str,
        expected: tuple[type[BaseException], ...] = (),
    ) -> asyncio.Task[T]:
        """Start a task that ends by itself, and return it.

        The exception that it ends with is logged, unless it is of a type in `expected`: those are
        results for the callers that await the task.
        """
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._on_done(done, expected))
        return task

    def supervise(self, run: Callable[[], Awaitable[object]], *, name: str) -> asyncio.Task[None]:
        """Start a task that runs until `run` returns or the owner closes, and return it.

        When `run` raises, the exception is logged and `run` is called again, after a pause that
        doubles with each failure in a row.
        """
        return self.start(self._run_supervised(run, name), name=name)

    async def aclose(self) -> None:
        """Cancel every task and wait for its end; no task is started again."""
        self._closed = True
        own = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_supervised(self, run: Callable[[], Awaitable[object]], name: str) -> None:
        clock = asyncio.get_running_loop().time
        pause = self._first_pause
        while not self._closed:
            began = clock()
            try:
                await run()
            except asyncio.CancelledError as error:
                # One that is not about this task is a failure like any other: something that it
                # waited for was cancelled.
                if self._closed or _is_cancelled():
                    raise
                failure: BaseException = error
            except Exception as error:  # noqa: BLE001 - whatever it is, the task has to go on
                failure = error
            else:
                return
            if clock() - began > _STEADY_SECONDS:
                pause = self._first_pause
            logger.error(
                "background task `%s` failed, it starts again in %g s",
                name,
                pause,
                exc_info=failure,
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._max_pause)

    def _on_done(self, task: asyncio.Task[Any], expected: tuple[type[BaseException], ...]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, expected):
            logger.error("background task `%s` failed", task.get_name(), exc_info=error)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
