"""Maps the signals of the process to stop, reload and replacement of workers.

Signals that arrive before the server can act on them are kept: their default action would end the
process.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from types import FrameType

_STOPS = (signal.SIGTERM, signal.SIGINT)
_REQUESTS = (signal.SIGHUP, signal.SIGUSR2)


class SignalHandlers:
    """The signal handlers: SIGHUP reloads, SIGUSR2 replaces workers, SIGTERM and SIGINT stop."""

    def __init__(self) -> None:
        self._early: set[int] = set()

    @contextlib.contextmanager
    def defer_requests(self) -> Iterator[None]:
        """Record SIGHUP and SIGUSR2 until `install`, and exit with code 0 at SIGTERM or SIGINT."""
        previous = {number: signal.getsignal(number) for number in (*_STOPS, *_REQUESTS)}
        for number in _REQUESTS:
            signal.signal(number, self._record)
        for number in _STOPS:
            signal.signal(number, _exit)
        try:
            yield
        finally:
            for number, handler in previous.items():
                if handler is not None:  # a handler that Python did not set cannot be restored
                    signal.signal(number, handler)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        self._early.add(number)

    def install(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: Callable[[], None],
        reload: Callable[[], None],
        replace: Callable[[], None],
    ) -> None:
        """Call these functions at their signals, and at once for recorded signals."""
        for number in _STOPS:
            loop.add_signal_handler(number, stop)
        for number, request in zip(_REQUESTS, (reload, replace), strict=True):
            loop.add_signal_handler(number, request)
            if number in self._early:
                request()
        self._early.clear()


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
