"""When the cyclic garbage collector runs.

The collector visits the live objects again and again while their number grows: half the time of
loading ten thousand routes.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_GC_THRESHOLDS = (10_000, 20, 50)
"""New objects between two collections of the youngest generation, and how many collections of one
generation there are for one of the next.

What a check leaves behind is freed by reference counting. With Python's own figures (700, 10, 10)
all cached responses were visited several times a second under load, for 27 ms each time.
"""


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pauses the collector, for code that creates many objects and drops few.

    All of them then belong to the oldest generation, as if they had been visited; what was dropped
    after all is collected with the next full collection.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # Freezing and unfreezing moves all objects to the oldest generation, at no cost. Where the
        # heap is frozen already, the new objects stay frozen too.
        is_heap_frozen = gc.get_freeze_count() > 0
        gc.freeze()
        if not is_heap_frozen:
            gc.unfreeze()
        gc.enable()


def freeze_heap() -> None:
    """Takes every live object out of later collections, and collects what is no longer in use since
    the last call.

    With a hundred thousand routes a full collection takes more than a second, in which no request
    is answered; it is better taken before serving than while serving.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.unfreeze()
    gc.collect()
    gc.freeze()
