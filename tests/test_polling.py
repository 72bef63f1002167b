"""What is read elsewhere is believed for its time and no longer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.polling import LOG_INTERVAL_SECONDS, PolledSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable


class Elsewhere:
    """Something kept elsewhere: the next thing read, or how reading fails."""

    def __init__(self) -> None:
        self.next: str | Exception = "first"
        self.time = 1000.0
        self.takes = 0.0

    async def read(self) -> str:
        self.time += self.takes
        if isinstance(self.next, Exception):
            raise self.next
        return self.next

    def mirror(self, *, every: float = 1.0, max_age: float = 10.0) -> PolledSnapshot[str]:
        return PolledSnapshot(
            self.read,
            name="the table `t`",
            interval=every,
            max_age=max_age,
            clock=lambda: self.time,
        )


async def test_it_is_known_from_the_first_reading_on() -> None:
    mirror = Elsewhere().mirror()
    assert mirror.current() is None
    assert not mirror.loaded
    await mirror.refresh()
    assert mirror.current() == "first"
    assert mirror.loaded


async def test_its_age_counts_from_when_reading_began() -> None:
    there = Elsewhere()
    there.takes = 4.0
    mirror = there.mirror()
    await mirror.refresh()
    there.time += 5.9
    assert mirror.current() == "first"
    there.time += 0.1
    assert mirror.current() is None
    assert mirror.loaded


@pytest.mark.parametrize(
    "failure", [StoreUnavailable("away"), ValueError("nonsense")], ids=["away", "nonsense"]
)
async def test_what_fails_changes_nothing_until_it_is_too_old(failure: Exception) -> None:
    there = Elsewhere()
    mirror = there.mirror()
    await mirror.refresh()
    there.next = failure
    there.time += 9.0
    await mirror.refresh()
    assert mirror.current() == "first"
    there.time += 1.0
    assert mirror.current() is None
    there.next = "second"
    await mirror.refresh()
    assert mirror.current() == "second"


async def test_no_mistake_ends_it_for_good() -> None:
    there = Elsewhere()
    there.next = AttributeError("a mistake of ours")
    mirror = there.mirror(every=0.001)
    mirror.start()
    await asyncio.sleep(0.01)
    assert mirror.current() is None
    there.next = "second"
    await _until(lambda: mirror.current() == "second")
    await mirror.aclose()


async def test_reading_may_not_take_longer_than_it_would_be_believed() -> None:
    async def endless() -> str:
        await asyncio.Event().wait()
        return "never"

    mirror = PolledSnapshot(endless, name="the table `t`", interval=1, max_age=0.01)
    await mirror.refresh()
    assert mirror.current() is None


async def test_the_operator_hears_of_it_once_and_then_now_and_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    there = Elsewhere()
    mirror = there.mirror()
    await mirror.refresh()
    there.next = ValueError("nonsense")
    for pause in (1.0, 1.0, LOG_INTERVAL_SECONDS):
        there.time += pause
        await mirror.refresh()
    there.next = "second"
    await mirror.refresh()
    assert [record.message for record in caplog.records] == [
        "the table `t` cannot be read and is used as last read for 9 s more: nonsense",
        "the table `t` cannot be read and is unavailable: nonsense",
        "the table `t` can be read again",
    ]


async def test_it_reads_by_itself_until_it_is_closed() -> None:
    there = Elsewhere()
    mirror = there.mirror(every=0.001)
    mirror.start()
    await _until(lambda: mirror.current() == "first")
    there.next = "second"
    await _until(lambda: mirror.current() == "second")
    await mirror.aclose()
    assert all(task.get_name() != "the table `t`" for task in asyncio.all_tasks())


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 -- it is a clock's business, not an event's
            await asyncio.sleep(0.001)
