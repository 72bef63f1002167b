"""When the cyclic garbage collector may run. It looks at everything that is alive, again and again
while there is ever more of it: half the time of loading ten thousand routes."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_GC_THRESHOLDS = (10_000, 20, 50)
"""New objects between two looks at the youngest, and how many looks at one generation there are to
one at the next. What a check leaves behind is freed by counting; with Python's own figures (700, 10,
10) everything that is remembered about questions was looked at several times a second under load,
for 27 ms each time."""


@contextmanager
def gc_paused() -> Iterator[None]:
    """For code that makes much and throws away little. All of it is then old in the collector's eyes,
    as if it had been looked at: what was thrown away after all goes with the next full round."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # Into the permanent generation and out of it again is into the oldest one, at no cost. Where
        # everything else is left out already, so is what was made now.
        settled = gc.get_freeze_count() > 0
        gc.freeze()
        if not settled:
            gc.unfreeze()
        gc.enable()


def freeze_heap() -> None:
    """What is alive now stays: the collector need not look at it again until the next call, which
    also collects what has ceased to be in use meanwhile. With a hundred thousand routes a full look
    takes more than a second, in which nothing is answered; it is better taken before than between
    the answers."""
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.unfreeze()
    gc.collect()
    gc.freeze()
