from __future__ import annotations

import gc
import weakref

import pytest

from authz_sidecar.core.collector import collector_paused, settle


def test_it_pauses_and_goes_on() -> None:
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled(), "the outer one decides"
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(KeyError), collector_paused():
        raise KeyError
    assert gc.isenabled()


class _Knot:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_alive_is_not_looked_at_again_until_it_is_not_needed_any_more() -> None:
    knot, before = _Knot(), gc.get_freeze_count()
    gone = weakref.ref(knot)
    try:
        settle()
        assert gc.get_freeze_count() > before
        del knot
        gc.collect()
        assert gone() is not None, "it was looked at"
        settle()
        assert gone() is None
    finally:
        gc.unfreeze()
