"""When the cyclic garbage collector may run. It looks at everything that is alive, again and again
while there is ever more of it: half the time of loading ten thousand routes."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def collector_paused() -> Iterator[None]:
    """For code that makes much and throws away little. What it did throw away is collected in time
    by itself, since the collector counts on."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
