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


def settle() -> None:
    """What is alive now stays: the collector need not look at it again until the next call, which
    also collects what has ceased to be in use meanwhile. With a hundred thousand routes a full look
    takes more than a second, in which nothing is answered; it is better taken before than between
    the answers."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
