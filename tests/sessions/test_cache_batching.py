"""How much of a store is asked at once, when everybody wants something from it."""

from __future__ import annotations

import asyncio

import pytest

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sessions.cache.batching import MAX_CONCURRENT_READS, BatchingReader


class SlowStore:
    """A store that answers when it is let."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.reads: list[tuple[str, ...]] = []
        self.pending = self.max_pending = 0
        self.fails = False

    async def read(self, *keys: str) -> tuple[bytes | None, ...]:
        self.reads.append(keys)
        self.pending += 1
        self.max_pending = max(self.max_pending, self.pending)
        try:
            await self.release.wait()
            if self.fails:
                raise StoreUnavailable("away")
        finally:
            self.pending -= 1
        return tuple(key.encode() for key in keys)


async def each_in_a_turn_of_its_own(
    reads: BatchingReader, count: int
) -> list[asyncio.Task[object]]:
    tasks: list[asyncio.Task[object]] = []
    for number in range(count):
        tasks.append(asyncio.create_task(reads.read(f"a{number}", f"b{number}")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return tasks


async def test_the_store_hears_larger_questions_and_not_more() -> None:
    store = SlowStore()
    reads = BatchingReader(store)
    tasks = await each_in_a_turn_of_its_own(reads, 200)
    assert store.pending == MAX_CONCURRENT_READS
    store.release.set()
    assert await asyncio.gather(*tasks) == [
        (b"a%d" % number, b"b%d" % number) for number in range(200)
    ]
    assert (store.max_pending, len(store.reads)) == (MAX_CONCURRENT_READS, MAX_CONCURRENT_READS + 1)


async def test_no_question_is_too_large() -> None:
    store = SlowStore()
    store.release.set()
    reads = BatchingReader(store)
    await asyncio.gather(*(reads.read(f"{number}", "x") for number in range(5000)))
    assert max(map(len, store.reads)) <= 513
    assert sum(map(len, store.reads)) == 10_000
    assert store.max_pending <= MAX_CONCURRENT_READS


async def test_nobody_waits_behind_a_store_that_went_away() -> None:
    store = SlowStore()
    reads = BatchingReader(store)
    tasks = await each_in_a_turn_of_its_own(reads, 50)
    store.fails = True
    store.release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    store.fails = False
    assert await reads.read("k") == (b"k",)


@pytest.mark.parametrize("gone", [1, 20])
async def test_whoever_went_is_not_asked_for(gone: int) -> None:
    store = SlowStore()
    reads = BatchingReader(store)
    tasks = await each_in_a_turn_of_its_own(reads, MAX_CONCURRENT_READS + 20)
    for task in tasks[-gone:]:
        task.cancel()
    await asyncio.sleep(0)
    store.release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    asked = sum(map(len, store.reads))
    assert asked == 2 * (len(tasks) - gone)
