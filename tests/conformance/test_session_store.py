"""One suite for every session store: in memory, and in a real Redis of each kind."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import pytest

from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.store import SessionStore, StoreEntry
from tests.sessions.stores import STORES, store_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOON = 0.05


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[SessionStore]:
    opened = open_store(store_url(request.param, request))
    yield opened
    await opened.aclose()


@pytest.fixture
def tag() -> str:
    """Names of this test's own, which lie together: the servers are shared."""
    return f"az:test:{{{uuid.uuid4().hex}}}"


async def test_reads_in_the_order_of_the_keys(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(f"{tag}1", b"one", 60), StoreEntry(f"{tag}2", b"\x00\xff", 60))
    assert await store.read(f"{tag}2", f"{tag}0", f"{tag}1") == (b"\x00\xff", None, b"one")
    assert await store.read() == ()


async def test_reads_keys_that_do_not_lie_together(store: SessionStore) -> None:
    keys = [f"az:test:{uuid.uuid4().hex}" for _ in range(20)]
    for key in keys:
        await store.write(StoreEntry(key, key.encode(), 60))
    assert await store.read(*keys) == tuple(key.encode() for key in keys)


async def test_a_first_read_finds_its_way(store: SessionStore, tag: str) -> None:
    assert await store.read(f"{tag}1", "az:test:elsewhere") == (None, None)


async def test_an_entry_is_gone_after_its_time(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(f"{tag}short", b"1", SOON), StoreEntry(f"{tag}long", b"1", 60))
    await asyncio.sleep(2 * SOON)
    assert await store.read(f"{tag}short", f"{tag}long") == (None, b"1")


async def test_writing_again_replaces_value_and_time(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(tag, b"1", SOON))
    await store.write(StoreEntry(tag, b"2", 60))
    await asyncio.sleep(2 * SOON)
    assert await store.read(tag) == (b"2",)


async def test_writes_new_only_once(store: SessionStore, tag: str) -> None:
    entry = StoreEntry(tag, b"1", SOON)
    assert [await store.write_if_absent(entry), await store.write_if_absent(entry)] == [True, False]
    await asyncio.sleep(2 * SOON)
    assert await store.write_if_absent(entry)


async def test_of_many_who_write_new_one_succeeds(store: SessionStore, tag: str) -> None:
    entry = StoreEntry(tag, b"1", 60)
    assert sum(await asyncio.gather(*(store.write_if_absent(entry) for _ in range(50)))) == 1


async def test_rewrites_only_what_is_there(store: SessionStore, tag: str) -> None:
    assert not await store.write_if_present(StoreEntry(tag, b"1", 60))
    assert await store.read(tag) == (None,)
    await store.write(StoreEntry(tag, b"1", SOON))
    assert await store.write_if_present(StoreEntry(tag, b"2", 60))
    await asyncio.sleep(2 * SOON)
    assert await store.read(tag) == (b"2",)


async def test_takes_once(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(tag, b"1", 60))
    taken = await asyncio.gather(*(store.read_and_delete(tag) for _ in range(20)))
    assert sorted(taken, key=bool) == [None] * 19 + [b"1"]


async def test_takes_nothing_that_expired(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(tag, b"1", SOON))
    await asyncio.sleep(2 * SOON)
    assert await store.read_and_delete(tag) is None


async def test_deletes(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(f"{tag}1", b"1", 60), StoreEntry(f"{tag}2", b"2", 60))
    await store.delete(f"{tag}1", f"{tag}0")
    assert await store.read(f"{tag}1", f"{tag}2") == (None, b"2")


async def test_an_index_lists_by_expiry(store: SessionStore, tag: str) -> None:
    for member, expires_at in (("late", 300.5), ("soon", 100.25), ("later", 400.0)):
        await store.add_to_index(tag, member, expires_at=expires_at, now=0.0)
    assert await store.read_indexes(tag, now=0.0) == (("soon", "late", "later"),)
    assert await store.read_indexes(tag, now=100.25) == (("late", "later"),)
    assert await store.read_indexes(tag, now=400.0) == ((),)


async def test_an_index_drops_what_expired(store: SessionStore, tag: str) -> None:
    await store.add_to_index(tag, "old", expires_at=100.0, now=0.0)
    await store.add_to_index(tag, "new", expires_at=300.0, now=200.0)
    assert await store.read_indexes(tag, now=0.0) == (("new",),)


async def test_several_indexes_are_read_at_once(store: SessionStore, tag: str) -> None:
    other = f"az:test:{uuid.uuid4().hex}"
    await store.add_to_index(tag, "a", expires_at=100.0, now=0.0)
    await store.add_to_index(other, "b", expires_at=100.0, now=0.0)
    assert await store.read_indexes(other, "az:test:none", tag, now=0.0) == (("b",), (), ("a",))


async def test_indexing_again_moves_the_expiry(store: SessionStore, tag: str) -> None:
    await store.add_to_index(tag, "a", expires_at=100.0, now=0.0)
    await store.add_to_index(tag, "a", expires_at=200.0, now=0.0)
    assert await store.read_indexes(tag, now=150.0) == (("a",),)


async def test_unindexes(store: SessionStore, tag: str) -> None:
    for member in "abc":
        await store.add_to_index(tag, member, expires_at=100.0, now=0.0)
    await store.remove_from_index(tag, "a", "c", "z")
    assert await store.read_indexes(tag, now=0.0) == (("b",),)
    await store.remove_from_index(tag, "b")
    await store.remove_from_index(tag, "b")
    assert await store.read_indexes(tag, now=0.0) == ((),)


async def test_counts_atomically(store: SessionStore, tag: str) -> None:
    counts = await asyncio.gather(*(store.count(tag, window=60) for _ in range(50)))
    assert sorted(counts) == list(range(1, 51))


async def test_a_window_is_not_prolonged(store: SessionStore, tag: str) -> None:
    window = 0.3
    assert await store.count(tag, window=window) == 1
    await asyncio.sleep(0.2)
    assert await store.count(tag, window=window) == 2
    await asyncio.sleep(0.2)
    assert await store.count(tag, window=window) == 1


async def test_is_ready(store: SessionStore) -> None:
    await store.check_ready()


async def test_many_at_once_are_all_answered(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(tag, b"1", 60))
    assert await asyncio.gather(*(store.read(tag) for _ in range(300))) == [(b"1",)] * 300


async def test_a_swap_replaces_what_was_read_and_keeps_its_time(
    store: SessionStore, tag: str
) -> None:
    await store.write(
        StoreEntry(f"{tag}short", b"old", 4 * SOON), StoreEntry(f"{tag}long", b"old", 60)
    )
    assert await store.compare_and_swap(f"{tag}short", b"old", b"\x00new\xff")
    assert await store.compare_and_swap(f"{tag}long", b"old", b"new")
    assert await store.read(f"{tag}short", f"{tag}long") == (b"\x00new\xff", b"new")
    await asyncio.sleep(5 * SOON)
    assert await store.read(f"{tag}short", f"{tag}long") == (None, b"new")


async def test_a_swap_of_something_else_does_nothing(store: SessionStore, tag: str) -> None:
    assert not await store.compare_and_swap(tag, b"old", b"new")
    assert not await store.compare_and_swap(tag, b"", b"new")
    await store.write(StoreEntry(tag, b"other", 60))
    assert not await store.compare_and_swap(tag, b"old", b"new")
    assert await store.read(tag) == (b"other",)


async def test_of_several_swaps_one_happens(store: SessionStore, tag: str) -> None:
    await store.write(StoreEntry(tag, b"old", 60))
    swapped = await asyncio.gather(
        *(store.compare_and_swap(tag, b"old", b"%d" % n) for n in range(10))
    )
    assert sum(swapped) == 1
    assert await store.read(tag) == (b"%d" % swapped.index(True),)
