"""What was made meanwhile is old for the collector, and still collected."""

from __future__ import annotations

import gc
import weakref

import pytest

from authz_sidecar.core.gc_tuning import freeze_heap, gc_paused


class Ring:
    """Holds on to itself, so that only the collector can tell that nobody else does."""

    def __init__(self) -> None:
        self.itself = self


def test_what_stays_is_old_at_once() -> None:
    with gc_paused():
        assert not gc.isenabled()
        rings = [Ring() for _ in range(1000)]
    assert gc.isenabled()
    old = {id(each) for each in gc.get_objects(generation=2)}
    assert {id(ring) for ring in rings} <= old
    assert gc.get_freeze_count() == 0


def test_what_was_thrown_away_goes() -> None:
    with gc_paused():
        thrown = weakref.ref(Ring())
    gc.collect()
    assert thrown() is None


def test_it_stays_off_where_it_was_off_and_nothing_is_thawed() -> None:
    gc.disable()
    try:
        with gc_paused():
            assert not gc.isenabled()
        assert not gc.isenabled(), "the outer one decides"
    finally:
        gc.enable()
    gc.freeze()
    try:
        with gc_paused():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_where_everything_else_stays_so_does_what_was_made() -> None:
    freeze_heap()
    try:
        with gc_paused():
            rings = [Ring() for _ in range(1000)]
        young = {id(each) for each in gc.get_objects()}
        assert not {id(ring) for ring in rings} & young
    finally:
        gc.unfreeze()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(KeyError), gc_paused():
        raise KeyError
    assert gc.isenabled()


def test_what_is_alive_is_not_looked_at_again_until_it_is_not_needed_any_more() -> None:
    ring, before = Ring(), gc.get_freeze_count()
    gone = weakref.ref(ring)
    try:
        freeze_heap()
        assert gc.get_freeze_count() > before
        del ring
        gc.collect()
        assert gone() is not None, "it was looked at"
        freeze_heap()
        assert gone() is None
    finally:
        gc.unfreeze()
