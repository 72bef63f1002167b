"""What is held in memory is bounded, and found by every name whose change ends it."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.types import Session, SessionKind
from authz_sidecar.sessions import codec
from authz_sidecar.sessions.cache.entries import (
    CachedSession,
    CacheEntries,
    InFlightFetch,
    NearCacheLimits,
)
from authz_sidecar.sessions.records import SessionRecord
from tests.sessions.conftest import ALICE, AUTH

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity

SESSION = Session(
    public_id="h",
    kind=SessionKind.SIGN_IN,
    scope=AUTH,
    identity=ALICE,
    created_at=1.0,
    expires_at=2.0,
)


TOKENS = "abcdefgh"


def entry(token: str, *names: str, session: Session = SESSION) -> CachedSession:
    return CachedSession(session, token=token, names=names, epoch=1, verified_at=0.0)


def room_for(entries: int) -> CacheEntries:
    return CacheEntries(NearCacheLimits(max_entries=entries))


def cached(entries: CacheEntries) -> list[CachedSession]:
    return [item for token in TOKENS if (item := entries.get(token)) is not None]


def tokens(entries: CacheEntries) -> set[str]:
    return {item.token for item in cached(entries)}


def test_holds_so_many() -> None:
    entries = room_for(3)
    assert [entries.put(entry(token, token)) for token in "abcde"] == [0, 0, 0, 1, 1]
    assert len(entries) == 3
    assert "e" in tokens(entries)


def test_holds_so_much() -> None:
    one = entry("a", "a").weight
    entries = CacheEntries(NearCacheLimits(max_bytes=3 * one))
    for token in "abcde":
        entries.put(entry(token, token))
    assert len(entries) == 3
    assert entries.weight == 3 * one
    entries.add_weight(cached(entries)[0], one)
    assert entries.weight <= 3 * one


def test_what_is_too_large_is_not_held_and_nobody_goes_for_it() -> None:
    entries = CacheEntries(NearCacheLimits(max_bytes=entry("a", "a").weight))
    entries.put(entry("a", "a"))
    large = replace(SESSION, identity=replace(ALICE, claims={"text": "x" * 100_000}))
    assert entries.put(entry("b", "b", session=large)) == 0
    assert tokens(entries) == {"a"}


def test_what_was_used_stays() -> None:
    entries = room_for(3)
    for token in "abc":
        entries.put(entry(token, token))
    held = entries.get("b")
    assert held is not None
    for token in "defgh":
        held.is_referenced = True
        entries.put(entry(token, token))
    assert "b" in tokens(entries)


def test_a_cookie_has_one_entry() -> None:
    entries = room_for(3)
    first, second = entry("a", "x"), entry("a", "y")
    entries.put(first)
    entries.put(second)
    assert entries.get("a") is second
    assert entries.watchers_of("x") == ()
    entries.drop(first)
    assert entries.get("a") is second


def test_everybody_concerned_is_found() -> None:
    entries = room_for(9)
    one, two, fetching = (
        entry("a", "user", "a"),
        entry("b", "user"),
        InFlightFetch(epoch=1, started_at=0.0),
    )
    entries.put(one)
    entries.put(two)
    entries.watch(fetching, ("user", "new"))
    assert set(entries.watchers_of("user")) == {one, two, fetching}
    assert set(entries.entries_named("user")) == {one, two}
    assert entries.watchers_of("new") == (fetching,)
    entries.drop(one)
    entries.unwatch(fetching)
    assert entries.watchers_of("user") == (two,)
    entries.drop(two)
    assert entries.names() == ()
    assert entries.weight == 0


NAMES = st.lists(st.sampled_from("pqrst"), min_size=1, max_size=4).map(tuple)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(TOKENS), NAMES),
        st.tuples(st.just("drop"), st.sampled_from(TOKENS), NAMES),
        st.tuples(st.just("use"), st.sampled_from(TOKENS), NAMES),
        st.tuples(st.just("change"), st.sampled_from(TOKENS), NAMES),
    )
)


@given(STEPS, st.integers(1, 5))
def test_whatever_happens_the_tables_agree(steps: list[Any], most: int) -> None:
    entries = room_for(most)
    for what, token, names in steps:
        held = entries.get(token)
        if what == "put":
            entries.put(entry(token, *names))
        elif what == "drop":
            entries.drop(held)
        elif what == "use" and held is not None:
            held.is_referenced = True
        elif what == "change":
            for concerned in entries.entries_named(names[0]):
                entries.drop(concerned)
        living = cached(entries)
        assert len(entries) == len(living) <= most
        assert entries.weight == sum(item.weight for item in living)
        for name in "pqrst":
            assert set(entries.watchers_of(name)) == {e for e in living if name in e.names}
    entries.clear()
    assert (len(entries), entries.weight, entries.names()) == (0, 0, ())


LARGER: dict[str, Any] = {
    "sub": "user-00000000",
    "name": "Alice Liddell",
    "email": "alice@example.com",
    "groups": ["eng", "ops", "oncall"],
    "given_name": "Alice",
    "family_name": "Liddell",
    "preferred_username": "alice.liddell",
    "picture": "https://idp.example.com/avatars/00u1a2b3c4d5e6f7g8h9.png",
    "locale": "en-GB",
    "zoneinfo": "Europe/London",
    "email_verified": True,
    "updated_at": 1_790_000_000,
    "department": "Engineering",
    "hd": "example.com",
    "amr": ["pwd", "otp"],
    "acr": "urn:mace:incommon:iap:silver",
    "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles-corp"]},
}


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(replace(ALICE, claims={}, groups=()), id="hardly any claims"),
        pytest.param(
            replace(ALICE, name="Alice Liddell", groups=("eng", "ops", "oncall"), claims=LARGER),
            id="typical claims",
        ),
        pytest.param(
            replace(ALICE, groups=tuple(f"team-{number}" for number in range(100))),
            id="a hundred groups",
        ),
    ],
)
def test_the_weight_is_about_what_is_allocated(who: Identity) -> None:
    """As they come from the store: every record with texts of its own."""
    many = 300
    written = [
        codec.encode_record(
            SessionRecord(
                session=replace(
                    SESSION,
                    provider_session=f"sid-{number:032}",
                    identity=replace(who, subject=f"user-{number:08}"),
                )
            )
        )
        for number in range(many)
    ]
    entries = room_for(many)
    gc.collect()
    tracemalloc.start()
    for number, data in enumerate(written):
        record = codec.decode_record(data, public_id=f"h{number:021}")
        assert record is not None
        names = (record.session.public_id, f"u{number:021}", f"p{number:021}")
        entries.put(entry(f"t{number:042}", *names, session=record.session))
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.7 * allocated < entries.weight < 1.4 * allocated, (allocated, entries.weight)
