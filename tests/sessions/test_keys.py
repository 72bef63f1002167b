"""Names in the store: one for each secret, and never the same for two things."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.keys import KeyNames

OLD, NEW = b"o" * 32, b"n" * 32
NAMING = KeyNames(SecretKeys([OLD]))
BOTH = KeyNames(SecretKeys([NEW, OLD]))

parts = st.tuples(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))


@given(parts, parts)
def test_different_users_have_different_names(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (NAMING.user(*one) == NAMING.user(*other)) == (one == other)
    names = [NAMING.user(*one), NAMING.provider_session(*one)]
    assert len({name for each in names for name in each.index_keys + each.watermark_keys}) == 4


@given(st.text())
def test_what_a_name_is_for_is_part_of_it(text: str) -> None:
    names = (
        *NAMING.public_ids(text),
        *NAMING.ticket_keys(text),
        *NAMING.used_keys(text),
        NAMING.counter_key(text),
    )
    hashes = {name.rpartition(":")[2] for name in names}
    assert len(hashes) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", each) for each in hashes)


def test_the_first_secret_names_and_all_are_looked_up() -> None:
    assert BOTH.public_ids("x")[1:] == NAMING.public_ids("x")
    assert BOTH.used_keys("x")[1:] == NAMING.used_keys("x")
    assert BOTH.counter_key("x") != NAMING.counter_key("x")
    alone = KeyNames(SecretKeys([NEW])).user("a", "b", "c"), NAMING.user("a", "b", "c")
    both = BOTH.user("a", "b", "c")
    assert both.names == tuple(name for each in alone for name in each.names)
    assert both.index_keys == tuple(index for each in alone for index in each.index_keys)
    assert both.watermark_keys == tuple(mark for each in alone for mark in each.watermark_keys)


def test_a_text_that_no_encoding_knows_has_a_name() -> None:
    assert NAMING.user("corp", "https://idp", "\ud800") != NAMING.user("corp", "https://idp", "?")
