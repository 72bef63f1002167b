"""Keys and seals: rotation, separation, and whatever is not ours."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.sealing import KeyedHash, SecretKeys

OLD, NEW = b"o" * 32, b"n" * 32
KEYS = SecretKeys([OLD])

texts = st.text(max_size=20)
data = st.binary(max_size=200)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([], id="none"),
        pytest.param([b"x" * 31], id="too short"),
        pytest.param([OLD, b""], id="second empty"),
    ],
)
def test_weak_keys_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        SecretKeys(keys)


def test_messages_and_repr_show_no_key() -> None:
    with pytest.raises(ValueError, match="secret key 2 has 9 bytes") as caught:
        SecretKeys([OLD, b"too short"])
    assert "too short" not in str(caught.value)
    assert "o" * 8 not in repr(KEYS)


@given(texts, data, data, data)
def test_what_is_sealed_opens(purpose: str, plain: bytes, bound: bytes, mixed: bytes) -> None:
    sealed = KEYS.seal(purpose, plain, associated_data=bound, extra_secret=mixed)
    assert KEYS.open(purpose, sealed, associated_data=bound, extra_secret=mixed) == plain
    text = KEYS.seal_text(purpose, plain, associated_data=bound, extra_secret=mixed)
    assert KEYS.open_text(purpose, text, associated_data=bound, extra_secret=mixed) == plain
    assert not set(text) & set("+/=")


@given(data, st.data())
def test_a_changed_byte_opens_nothing(plain: bytes, draw: st.DataObject) -> None:
    sealed = bytearray(KEYS.seal("x", plain))
    sealed[draw.draw(st.integers(0, len(sealed) - 1))] ^= draw.draw(st.integers(1, 255))
    assert KEYS.open("x", bytes(sealed)) is None


@given(data, st.integers(min_value=0))
def test_a_cut_seal_opens_nothing(plain: bytes, length: int) -> None:
    sealed = KEYS.seal("x", plain)
    assert KEYS.open("x", sealed[: length % len(sealed)]) is None


@given(st.binary(), st.text())
def test_garbage_opens_nothing(sealed: bytes, text: str) -> None:
    assert KEYS.open("x", sealed) is None
    assert KEYS.open_text("x", text) is None


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"purpose": "b"}, id="other purpose"),
        pytest.param({"associated_data": b"bob"}, id="bound elsewhere"),
        pytest.param({"associated_data": b""}, id="bound to nothing"),
        pytest.param({"extra_secret": b"bob"}, id="other second secret"),
        pytest.param({"extra_secret": b""}, id="without the second secret"),
    ],
)
def test_a_seal_is_good_for_one_place(options: dict[str, object]) -> None:
    made = {"purpose": "a", "associated_data": b"alice", "extra_secret": b"cookie"}
    sealed = KEYS.seal(data=b"plain", **made)  # type: ignore[arg-type]
    assert KEYS.open(sealed=sealed, **made) == b"plain"  # type: ignore[arg-type]
    assert KEYS.open(sealed=sealed, **(made | options)) is None  # type: ignore[arg-type]


def test_the_first_key_seals_and_all_open() -> None:
    adding, moved, dropped = SecretKeys([OLD, NEW]), SecretKeys([NEW, OLD]), SecretKeys([NEW])
    by_old, by_new = adding.seal("x", b"1"), moved.seal("x", b"2")
    assert [adding.open("x", by_old), adding.open("x", by_new)] == [b"1", b"2"]
    assert [moved.open("x", by_old), moved.open("x", by_new)] == [b"1", b"2"]
    assert KEYS.open("x", by_old) == b"1"
    assert KEYS.open("x", by_new) is None
    assert [dropped.open("x", by_old), dropped.open("x", by_new)] == [None, b"2"]


def test_equal_data_never_looks_equal() -> None:
    assert len({KEYS.seal("x", b"same") for _ in range(100)}) == 100


@pytest.mark.parametrize("ending", ["=", "==", "A", " ", "\n", "+", "é"])
def test_a_text_has_one_spelling(ending: str) -> None:
    text = KEYS.seal_text("x", b"data")
    assert KEYS.open_text("x", text + ending) is None
    other = text[:-1] + ending
    assert other == text or KEYS.open_text("x", other) is None


def test_derived_keys_follow_the_order_and_are_unrelated() -> None:
    both = SecretKeys([NEW, OLD]).derive("names")
    assert both[1:] == SecretKeys([OLD]).derive("names")
    assert len({*both, *SecretKeys([NEW, OLD]).derive("other names")}) == 4
    assert [len(key) for key in KEYS.derive("names", length=64)] == [64]


def test_a_key_given_twice_counts_once() -> None:
    assert len(SecretKeys([OLD, NEW, OLD]).derive("names")) == 2


@given(st.binary(max_size=100), st.binary(max_size=200))
def test_the_prepared_hash_is_hmac(key: bytes, data: bytes) -> None:
    assert KeyedHash(key)(data) == hmac.digest(key, data, hashlib.sha256)
