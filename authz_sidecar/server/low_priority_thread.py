"""Runs long work in a thread without delaying requests on the event loop.

The thread gives up the interpreter's lock within a fraction of a millisecond, and the garbage
collector is paused meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from authz_sidecar.core.gc_tuning import gc_paused

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

SWITCH_SECONDS = 0.0005
"""The switch interval of the interpreter while such work runs. A check takes the interpreter's lock
several times: with Python's default of 5 ms, a check took ten times as long while a configuration
was loaded."""


async def in_slices(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of `work(*args, **kwargs)`, run in a thread.

    The caller must not run two at the same time in one process. Raises what `work` raises.
    """

    def run_sliced() -> T:
        previous_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            with gc_paused():
                return work(*args, **kwargs)
        finally:
            sys.setswitchinterval(previous_interval)

    return await asyncio.to_thread(run_sliced)
