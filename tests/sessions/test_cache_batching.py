"""How much of a store is asked at once, when everybody wants something from it."""

from __future__ import annotations

import asyncio

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.cache.batching import MOST_UNDER_WAY, GatheredReads


class Slow:
    """A store that answers when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.questions: list[tuple[str, ...]] = []
        self.under_way = self.most = 0
        self.fails = False

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        self.questions.append(keys)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.let.wait()
            if self.fails:
                raise StoreUnavailable("away")
        finally:
            self.under_way -= 1
        return tuple(key.encode() for key in keys)


async def each_in_a_turn_of_its_own(reads: GatheredReads, count: int) -> list[asyncio.Task[object]]:
    tasks: list[asyncio.Task[object]] = []
    for number in range(count):
        tasks.append(asyncio.create_task(reads.read(f"a{number}", f"b{number}")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return tasks


async def test_the_store_hears_larger_questions_and_not_more() -> None:
    store = Slow()
    reads = GatheredReads(store)
    tasks = await each_in_a_turn_of_its_own(reads, 200)
    assert store.under_way == MOST_UNDER_WAY
    store.let.set()
    assert await asyncio.gather(*tasks) == [
        (b"a%d" % number, b"b%d" % number) for number in range(200)
    ]
    assert (store.most, len(store.questions)) == (MOST_UNDER_WAY, MOST_UNDER_WAY + 1)


async def test_no_question_is_too_large() -> None:
    store = Slow()
    store.let.set()
    reads = GatheredReads(store)
    await asyncio.gather(*(reads.read(f"{number}", "x") for number in range(5000)))
    assert max(map(len, store.questions)) <= 513
    assert sum(map(len, store.questions)) == 10_000
    assert store.most <= MOST_UNDER_WAY


async def test_nobody_waits_behind_a_store_that_went_away() -> None:
    store = Slow()
    reads = GatheredReads(store)
    tasks = await each_in_a_turn_of_its_own(reads, 50)
    store.fails = True
    store.let.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    store.fails = False
    assert await reads.read("k") == (b"k",)


@pytest.mark.parametrize("gone", [1, 20])
async def test_whoever_went_is_not_asked_for(gone: int) -> None:
    store = Slow()
    reads = GatheredReads(store)
    tasks = await each_in_a_turn_of_its_own(reads, MOST_UNDER_WAY + 20)
    for task in tasks[-gone:]:
        task.cancel()
    await asyncio.sleep(0)
    store.let.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    asked = sum(map(len, store.questions))
    assert asked == 2 * (len(tasks) - gone)
