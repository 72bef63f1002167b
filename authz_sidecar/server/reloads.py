"""Runs configuration reloads, one at a time.

Decides when the file is read: once for all requests that came before the read began, and once more
for those that came meanwhile, so that the newest file is always read. Must not know how it is used.
"""

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
"""The least pause between two reloads, so that constant reloads leave the processor to checks."""


class CoalescingRunner:
    """Runs `step` once for all requests that came before the run began; runs never overlap.

    Between two runs it pauses for as long as the last run took, and at least `rest_seconds`;
    without `rest_seconds` it does not pause.
    """

    def __init__(self, step: Callable[[], Awaitable[None]], *, rest_seconds: float = 0.0) -> None:
        self._step = step
        self._rest_seconds = rest_seconds
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Request a run."""
        self._requested.set()

    @property
    def is_requested(self) -> bool:
        """Whether another run follows the current one."""
        return self._requested.is_set()

    async def run(self) -> None:
        """Run `step` at each request; never returns.

        Raises what `step` raises, and keeps the request.
        """
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
        """Return at the next request, which the caller takes over, or after `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._requested.wait()
        self._requested.clear()


class ReloadRunner:
    """Reloads the configuration on request.

    `load`: reads and validates the configuration, in a thread.
    `activate`: called with the generation and the application of an accepted configuration.
    `status`: records each outcome.

    An error in the configuration ends the attempt. Any other failure, such as a lack of memory or
    file descriptors, is retried until the configuration is accepted or found to be wrong.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Application],
        activate: Callable[[int, Application], Awaitable[None]],
        status: ReloadStatus,
    ) -> None:
        self._load = load
        self._activate = activate
        self._status = status
        self._runner = CoalescingRunner(self._reload, rest_seconds=REST_SECONDS)
        self.run = self._runner.run

    def request(self) -> None:
        """Request a reload."""
        self._status.record_request()
        self._runner.request()

    async def _reload(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._attempt()
            except Exception as error:  # noqa: BLE001 - the reload must not be lost
                self._status.record_load_failure(error, retry_seconds=pause)
                await self._runner.wait_for_request(within=pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            else:
                if not self._runner.is_requested:
                    self._status.record_all_decided()
                return

    async def _attempt(self) -> None:
        try:
            application = await in_slices(self._load)
        except TemporaryError:
            raise
        except (ConfigError, StartupError) as error:
            self._status.record_failure(error)
        else:
            await self._activate(self._status.record_accepted(application), application)
