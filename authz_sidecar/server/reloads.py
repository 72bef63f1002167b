"""Takes a configuration into use when that is asked for: one attempt at a time, and one more for
all that asked while it ran, so that the file is always read after the last of them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from authz_sidecar.errors import ConfigError, StartupError, TemporaryError
from authz_sidecar.server.low_priority_thread import in_slices

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.app import Application
    from authz_sidecar.server.reload_status import ReloadStatus

FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
REST_SECONDS = 1.0
"""Between two reloads: those who reload without end leave the processor to the checks."""


class CoalescingRunner:
    """Runs `step` for every request: one run for all that came before it began, and no two at the
    same time. Between two it rests for as long as the last one took, and at least `rest_seconds`."""

    def __init__(self, step: Callable[[], Awaitable[None]], *, rest_seconds: float = 0.0) -> None:
        self._step = step
        self._rest_seconds = rest_seconds
        self._requested = asyncio.Event()

    def request(self) -> None:
        self._requested.set()

    @property
    def is_requested(self) -> bool:
        """Whether another run follows the present one."""
        return self._requested.is_set()

    async def run(self) -> None:
        while True:
            await self._requested.wait()
            self._requested.clear()
            began = asyncio.get_running_loop().time()
            try:
                await self._step()
            except BaseException:
                self._requested.set()  # it was not done
                raise
            if self._rest_seconds:
                took = asyncio.get_running_loop().time() - began
                await asyncio.sleep(max(took, self._rest_seconds))

    async def wait_for_request(self, *, within: float) -> None:
        """Return at the next request, which the caller takes on, or after `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._requested.wait()
        self._requested.clear()


class ReloadRunner:
    """`load` reads and judges the configuration, in a thread; `activate` is given its generation.
    What is wrong with the configuration itself is told and is the end of an attempt; whatever else
    fails, as for want of memory or descriptors, is tried again until the configuration is
    judged."""

    def __init__(
        self,
        *,
        load: Callable[[], Application],
        activate: Callable[[int, Application], Awaitable[None]],
        history: ReloadStatus,
    ) -> None:
        self._load = load
        self._use = activate
        self._history = history
        self._attempts = CoalescingRunner(self._reload, rest_seconds=REST_SECONDS)
        self.run = self._attempts.run

    def request(self) -> None:
        self._history.requested()
        self._attempts.request()

    async def _reload(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._attempt()
            except Exception as error:  # noqa: BLE001 - the reload must not be lost
                self._history.record_load_failure(error, again_seconds=pause)
                await self._attempts.wait_for_request(within=pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            else:
                if not self._attempts.is_requested:
                    self._history.judged()
                return

    async def _attempt(self) -> None:
        try:
            application = await in_slices(self._load)
        except TemporaryError:
            raise
        except (ConfigError, StartupError) as error:
            self._history.record_failure(error)
        else:
            await self._use(self._history.record_accepted(application), application)
