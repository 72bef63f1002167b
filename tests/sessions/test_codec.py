"""Records survive the way to bytes and back; whatever else arrives is no record."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.sessions import codec
from authz_sidecar.sessions.codec import CLAIMS_DICTIONARY
from authz_sidecar.sessions.records import (
    ProviderTokens,
    SessionListing,
    SessionRecord,
    SessionSummary,
)

HANDLE = "A" * 22

text = st.text(max_size=20)
moment = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | moment | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
identities = st.builds(
    Identity,
    provider=text,
    issuer=text,
    subject=text,
    email=st.none() | text,
    name=st.none() | text,
    groups=st.lists(text).map(tuple),
    claims=st.dictionaries(text, json_values),
    authenticated_at=st.none() | moment,
    acr=st.none() | text,
    amr=st.lists(text).map(tuple),
)
sessions = st.builds(
    Session,
    public_id=st.just(HANDLE),
    kind=st.sampled_from(SessionKind),
    scope=text,
    identity=identities,
    created_at=moment,
    expires_at=moment,
    provider_session=st.none() | text,
    parent_id=st.none() | text,
    routes=st.lists(text, max_size=3).map(tuple),
).map(
    lambda session: replace(
        session,
        identity=replace(session.identity, is_service=session.kind is SessionKind.SERVICE_ACCOUNT),
    )
)
marks = st.frozensets(st.binary(max_size=8), max_size=3)
records = st.builds(SessionRecord, session=sessions, known_watermarks=marks, vault_key=st.text())
summaries = st.builds(
    SessionSummary,
    handle=st.just(HANDLE),
    kind=st.sampled_from(SessionKind),
    scope=text,
    provider=text,
    issuer=text,
    subject=text,
    created_at=moment,
    expires_at=moment,
    last_used_at=st.just(0.0),
    client=text,
    user_agent=text,
    provider_session=st.none() | text,
    parent=st.none() | text,
    routes=st.lists(text, max_size=3).map(tuple),
).map(lambda summary: replace(summary, last_used_at=summary.created_at))
tokens = st.builds(
    ProviderTokens,
    id_token=st.none() | text,
    access_token=st.none() | text,
    refresh_token=st.none() | text,
    expires_at=st.none() | moment,
)

ALICE = SessionRecord(
    session=Session(
        public_id=HANDLE,
        kind=SessionKind.SIGN_IN,
        scope="https://app.example.com",
        identity=Identity(provider="corp", issuer="https://idp.example.com", subject="alice"),
        created_at=1.0,
        expires_at=2.0,
    ),
    known_watermarks=frozenset({b"12345678"}),
)


@given(records)
def test_a_record_comes_back(record: SessionRecord) -> None:
    assert codec.decode_record(codec.encode_record(record), public_id=HANDLE) == record


@given(st.builds(SessionListing, summary=summaries, known_watermarks=marks))
def test_a_listing_comes_back(listing: SessionListing) -> None:
    assert codec.decode_listing(codec.encode_listing(listing), public_id=HANDLE) == listing


@given(tokens)
def test_tokens_come_back(given_tokens: ProviderTokens) -> None:
    assert codec.decode_tokens(codec.encode_tokens(given_tokens)) == given_tokens


@given(st.binary(max_size=400), st.booleans())
def test_garbage_is_no_record(data: bytes, versioned: bool) -> None:  # noqa: FBT001
    data = b"\x01" + data if versioned else data
    assert codec.decode_tokens(data) is None
    assert codec.decode_record(data, public_id=HANDLE) is None
    assert codec.decode_listing(data, public_id=HANDLE) is None


@given(records, st.data())
def test_a_damaged_record_raises_nothing(record: SessionRecord, draw: st.DataObject) -> None:
    data = bytearray(codec.encode_record(record))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    codec.decode_record(bytes(data), public_id=HANDLE)


def packed(value: object, *, trailing: bytes = b"") -> bytes:
    deflate = zlib.compressobj(wbits=-15, zdict=CLAIMS_DICTIONARY)
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return b"\x01" + deflate.compress(body) + deflate.flush() + trailing


FIELDS: list[object] = [
    *("sign-in", "https://app", 1.0, 2.0, None, None, [], None, ""),
    *("corp", "https://idp", "alice", None, None, [], {}, None, None, []),
]


def test_the_fields_of_the_next_cases_are_a_record() -> None:
    assert codec.decode_record(packed(FIELDS), public_id=HANDLE) is not None


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param(0, "guest", id="unknown kind"),
        pytest.param(0, None, id="no kind"),
        pytest.param(1, 7, id="scope is a number"),
        pytest.param(2, "1", id="time is a text"),
        pytest.param(2, True, id="time is a truth value"),
        pytest.param(3, float("nan"), id="time is not a number"),
        pytest.param(3, float("inf"), id="time without end"),
        pytest.param(3, 10**400, id="time beyond floats"),
        pytest.param(4, [], id="provider session is a list"),
        pytest.param(6, "a", id="watermarks are a text"),
        pytest.param(6, ["é"], id="watermark is not ASCII"),
        pytest.param(6, ["%%%"], id="watermark is not base64"),
        pytest.param(7, "soon", id="time of refresh is a text"),
        pytest.param(8, None, id="no key of a vault"),
        pytest.param(11, None, id="no subject"),
        pytest.param(14, "admins", id="groups are a text"),
        pytest.param(14, ["admins", 1], id="a group is a number"),
        pytest.param(15, [], id="claims are a list"),
        pytest.param(15, None, id="no claims"),
    ],
)
def test_a_field_of_another_type_is_no_record(at: int, value: object) -> None:
    fields = [*FIELDS]
    fields[at] = value
    assert codec.decode_record(packed(fields), public_id=HANDLE) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x01", id="version alone"),
        pytest.param(b"\x02" + packed(FIELDS)[1:], id="other version"),
        pytest.param(packed(FIELDS, trailing=b"x"), id="something behind it"),
        pytest.param(packed(FIELDS)[:-1], id="cut"),
        pytest.param(packed([*FIELDS, None]), id="one field more"),
        pytest.param(packed(FIELDS[:-1]), id="one field less"),
        pytest.param(packed({}), id="another type"),
        pytest.param(packed(b"\xff"), id="not UTF-8"),
        pytest.param(packed(b"[" * 100_000), id="nested without end"),
        pytest.param(packed(b" " * (8 << 20)), id="a bomb"),
    ],
)
def test_another_form_is_no_record(data: bytes) -> None:
    assert codec.decode_record(data, public_id=HANDLE) is None


def test_kinds_of_records_are_not_mistaken_for_each_other() -> None:
    data = codec.encode_record(ALICE)
    assert codec.decode_listing(data, public_id=HANDLE) is None
    assert codec.decode_tokens(data) is None


def test_what_could_not_be_read_again_is_not_written() -> None:
    huge = replace(
        ALICE.session, identity=replace(ALICE.session.identity, claims={"x": "y" * (1 << 20)})
    )
    with pytest.raises(ValueError, match="too large"):
        codec.encode_record(SessionRecord(session=huge))


def test_tokens_are_not_shown() -> None:
    shown = repr(ProviderTokens(id_token="apple", access_token="pear", refresh_token="plum"))
    assert not any(word in shown for word in ("apple", "pear", "plum"))


@pytest.mark.parametrize(
    ("more", "routes"),
    [
        pytest.param((), (), id="as records without confinement are written"),
        pytest.param((["a", "b"],), ("a", "b"), id="confined"),
    ],
)
def test_confinement_is_a_last_field(more: tuple[object, ...], routes: tuple[str, ...]) -> None:
    record = codec.decode_record(packed([*FIELDS, *more]), public_id=HANDLE)
    assert record is not None
    assert record.session.routes == routes


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(("a",), id="text"),
        pytest.param(([1],), id="numbers"),
        pytest.param((["a"], ["b"]), id="two"),
    ],
)
def test_other_confinement_is_no_record(more: tuple[object, ...]) -> None:
    assert codec.decode_record(packed([*FIELDS, *more]), public_id=HANDLE) is None
