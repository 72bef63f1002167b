from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.http_headers import (
    encode_field_value,
    encode_list_value,
    header_name_aliases,
)

FIELD = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        pytest.param("alice@example.com", "alice@example.com", id="plain"),
        pytest.param("Alice Example", "Alice Example", id="space inside"),
        pytest.param(" a ", "%20a%20", id="space at the edges"),
        pytest.param("Zoë 李", "Zo%C3%AB %E6%9D%8E", id="text"),
        pytest.param("100%", "100%25", id="percent sign"),
        pytest.param("Al\r\nX-Auth-Groups: admins", "Al%0D%0AX-Auth-Groups: admins", id="lines"),
        pytest.param("a\x00\tb\x7f", "a%00%09b%7F", id="control bytes"),
        pytest.param("Doe, John", "Doe, John", id="comma"),
        pytest.param("", "", id="empty"),
        pytest.param("\ud800", "%3F", id="half a character"),
    ],
)
def test_field_value(text: str, written: str) -> None:
    assert encode_field_value(text) == written


@pytest.mark.parametrize(
    ("elements", "written"),
    [
        pytest.param(["eng", "ops"], "eng,ops", id="plain"),
        pytest.param(["a,b", "c"], "a%2Cb,c", id="comma inside"),
        pytest.param(["", "a"], "a", id="empty element"),
        pytest.param([], "", id="none"),
    ],
)
def test_list_value(elements: list[str], written: str) -> None:
    assert encode_list_value(elements) == written


@given(TEXT)
def test_any_text_becomes_a_field_and_comes_back(text: str) -> None:
    written = encode_field_value(text)
    assert not written or FIELD.fullmatch(written)
    assert unquote(written) == text


@given(st.lists(TEXT.filter(bool), max_size=5))
def test_any_list_becomes_a_field_and_comes_back(elements: list[str]) -> None:
    written = encode_list_value(elements)
    assert not written or FIELD.fullmatch(written)
    assert [unquote(each) for each in written.split(",") if each] == elements


@given(st.text(max_size=30))
def test_nothing_raises(text: str) -> None:
    assert encode_field_value(text).isascii()
    assert encode_list_value([text]).isascii()


def test_aliases() -> None:
    assert header_name_aliases("X-Auth-User") == (
        "x_auth_user",
        "x_auth-user",
        "x-auth_user",
        "x.auth.user",
    )
    assert header_name_aliases("Plain") == ()


def test_a_name_of_many_words_has_few_aliases() -> None:
    assert header_name_aliases("a-b-c-d-e-f-g-h") == ("a_b_c_d_e_f_g_h", "a.b.c.d.e.f.g.h")


@given(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=5).map("-".join))
def test_an_alias_is_the_same_variable_and_another_name(name: str) -> None:
    for alias in header_name_aliases(name):
        assert alias != name
        assert re.sub("[_.]", "-", alias) == name
