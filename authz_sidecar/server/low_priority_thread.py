"""Work that takes long, beside requests that must not feel it: in a thread that gives way within a
fraction of a millisecond, and without the collector."""

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
"""How long a thread may keep another from running that could. A check takes the interpreter's lock
several times: with Python's own 5 ms each of them took ten times as long as its work, for as long
as a configuration was loaded."""


async def in_slices(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` does, done in a thread. No two at the same time in one process."""

    def sliced() -> T:
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            with gc_paused():
                return work(*args, **kwargs)
        finally:
            sys.setswitchinterval(before)

    return await asyncio.to_thread(sliced)
