"""What is done beside the requests leaves the interpreter to them, and as it was."""

from __future__ import annotations

import asyncio
import gc
import sys
import time

import pytest

from authz_sidecar.server.low_priority_thread import SWITCH_SECONDS, in_slices


async def test_it_is_done_in_a_thread_that_gives_way() -> None:
    before = sys.getswitchinterval()

    def work(what: str, *, more: str) -> tuple[str, float, bool]:
        return what + more, sys.getswitchinterval(), gc.isenabled()

    said, interval, collecting = await in_slices(work, "a", more="b")
    assert said == "ab"
    assert interval == pytest.approx(SWITCH_SECONDS)
    assert not collecting
    assert sys.getswitchinterval() == before
    assert gc.isenabled()


async def test_everything_is_as_before_after_an_error() -> None:
    before = sys.getswitchinterval()

    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await in_slices(fail)
    assert sys.getswitchinterval() == before
    assert gc.isenabled()


async def test_the_loop_turns_meanwhile() -> None:
    def work() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass

    turns = 0
    task = asyncio.get_running_loop().create_task(in_slices(work))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    # With Python's own interval there would be a hundred, with none of its own a single one.
    assert turns > 150
