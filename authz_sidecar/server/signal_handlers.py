"""What the operator says by signals. Those that come before the server can obey are kept for then:
their default would be to end it."""

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
    """SIGHUP asks for a reload, SIGUSR2 for new workers, SIGTERM and SIGINT for the end."""

    def __init__(self) -> None:
        self._early: set[int] = set()

    @contextlib.contextmanager
    def defer_requests(self) -> Iterator[None]:
        """Keep requests until `install`, and end the process in order where it is to stop
        before."""
        before = {each: signal.getsignal(each) for each in (*_STOPS, *_REQUESTS)}
        for each in _REQUESTS:
            signal.signal(each, self._keep)
        for each in _STOPS:
            signal.signal(each, _exit)
        try:
            yield
        finally:
            for each, handler in before.items():
                if handler is not None:  # one that was not set by Python cannot be set again
                    signal.signal(each, handler)

    def _keep(self, number: int, _frame: FrameType | None) -> None:
        self._early.add(number)

    def install(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: Callable[[], None],
        reload: Callable[[], None],
        replace: Callable[[], None],
    ) -> None:
        """Call these from now on, and at once for what was kept."""
        for each in _STOPS:
            loop.add_signal_handler(each, stop)
        for each, request in zip(_REQUESTS, (reload, replace), strict=True):
            loop.add_signal_handler(each, request)
            if each in self._early:
                request()
        self._early.clear()


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
