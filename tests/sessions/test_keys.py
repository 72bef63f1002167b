"""Names in the store: one for each secret, and never the same for two things."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.keys import Naming

OLD, NEW = b"o" * 32, b"n" * 32
NAMING = Naming(SecretKeys([OLD]))
BOTH = Naming(SecretKeys([NEW, OLD]))

parts = st.tuples(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))


@given(parts, parts)
def test_different_users_have_different_names(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (NAMING.user(*one) == NAMING.user(*other)) == (one == other)
    names = [NAMING.user(*one), NAMING.provider_session(*one)]
    assert len({name for each in names for name in each.indexes + each.watermarks}) == 4


@given(st.text())
def test_what_a_name_is_for_is_part_of_it(text: str) -> None:
    names = (*NAMING.handles(text), *NAMING.tickets(text), *NAMING.once(text), NAMING.counter(text))
    hashes = {name.rpartition(":")[2] for name in names}
    assert len(hashes) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", each) for each in hashes)


def test_the_first_secret_names_and_all_are_looked_up() -> None:
    assert BOTH.handles("x")[1:] == NAMING.handles("x")
    assert BOTH.once("x")[1:] == NAMING.once("x")
    assert BOTH.counter("x") != NAMING.counter("x")
    alone = Naming(SecretKeys([NEW])).user("a", "b", "c"), NAMING.user("a", "b", "c")
    both = BOTH.user("a", "b", "c")
    assert both.names == tuple(name for each in alone for name in each.names)
    assert both.indexes == tuple(index for each in alone for index in each.indexes)
    assert both.watermarks == tuple(mark for each in alone for mark in each.watermarks)


def test_a_text_that_no_encoding_knows_has_a_name() -> None:
    assert NAMING.user("corp", "https://idp", "\ud800") != NAMING.user("corp", "https://idp", "?")
