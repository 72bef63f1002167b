"""Attempts in their cookies: they fit, they open on their own host alone, and old ones make room."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.core.redirects import MAX_STORED_BYTES
from authz_sidecar.core.step_up import AuthenticationRequirement
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.transactions import (
    MAX_AGE_SECONDS,
    MAX_COOKIE_BYTES,
    LoginTransaction,
    TransactionCookies,
    parse_state,
    transaction_id,
)
from authz_sidecar.sealing import SecretKeys
from tests.sessions.siblings import cookie_header_orders, similar_cookie_pairs

APP = parse_origin("https://app.example.com")
ADMIN = parse_origin("https://admin.example.com")
LOCAL = parse_origin("http://app.localhost:8080")
KEYS = SecretKeys([b"k" * 32])
COOKIES = TransactionCookies(KEYS, base_name="authz")
NOW = 1_800_000_000.25


def attempt(number: int = 1, **changes: object) -> LoginTransaction:
    made = LoginTransaction(
        id=transaction_id(NOW + number, bytes([number]) * 6),
        secret=bytes([number]) * 32,
        return_to="https://app.example.com/x?y=1",
        started_at=NOW + number,
        provider="corp",
        flow="f" * 43,
        round=2,
        instance="0123456789abcdef",
        callback="own",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def pair(set_cookie: str) -> str:
    return set_cookie.partition(";")[0]


def kept(one: LoginTransaction, *lines: str) -> tuple[str, ...]:
    return COOKIES.keep(one, lines, origin=APP, cross_site=False)


def test_an_attempt_comes_back_whole() -> None:
    one = attempt(shortened=True)
    [cookie] = kept(one)
    assert COOKIES.find([pair(cookie)], one.id, origin=APP) == one
    assert re.fullmatch(
        r"__Host-authz-flow-[0-9a-f]{8}[\w-]{8}=[\w-]+; Path=/; Max-Age=600; HttpOnly;"
        r" SameSite=Lax; Secure",
        cookie,
    )


@pytest.mark.parametrize("callback", ["own", "shared", None])
def test_an_attempt_keeps_its_kind_of_redirect_uri(callback: str | None) -> None:
    one = attempt(callback=callback)
    assert COOKIES.find([pair(kept(one)[0])], one.id, origin=APP) == one


def sealed_by_the_release_before(one: LoginTransaction) -> str:
    """The cookie of an attempt as it was written when every redirect URI was the same."""
    name = f"__Host-authz-flow-{one.id}"
    seed = base64url_encode(one.secret)
    fields = [one.provider, one.return_to, one.started_at, one.flow, 0, one.round, one.instance,
              seed, [60.0, ["silver"], []], "somebody", ["https://a.test/"], "handle"]  # fmt: skip
    value = KEYS.seal_text(
        "login attempt", json.dumps(fields).encode(), associated_data=f"{APP} {name}".encode()
    )
    return f"{name}={value}"


def test_attempts_of_the_release_before_are_read_and_say_nothing_of_their_redirect_uri() -> None:
    one = attempt(
        callback=None,
        step_up=AuthenticationRequirement(max_age=60.0, acr=("silver",)),
        user="somebody",
        walk=("https://a.test/",),
        previous_session="handle",
    )
    line = sealed_by_the_release_before(one)
    assert COOKIES.find([line], one.id, origin=APP) == one
    assert COOKIES.find([line], one.id, origin=ADMIN) is None
    awaiting = replace(one, provider=None)
    waiting = [sealed_by_the_release_before(awaiting)]
    assert COOKIES.awaiting_handoff(waiting, origin=APP, now=NOW) == (awaiting,)


def test_the_release_before_finds_no_attempt_in_cookies_of_this_one() -> None:
    """It then offers to start again, where it would fail on what it cannot read."""
    one = attempt()
    name, _, value = pair(kept(one)[0]).partition("=")
    binding = f"{APP} {name}".encode()
    assert KEYS.open_text("login attempt", value, associated_data=binding) is None


def test_state_nonce_verifier_and_flow_are_unrelated() -> None:
    one, other = attempt(1), attempt(2)
    values = [v for a in (one, other) for v in (a.state, a.nonce, a.verifier, a.flow_hash)]
    assert len({value.rpartition(".")[2] for value in values}) == 8
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", one.verifier)
    assert one.nonce not in repr(one)
    assert repr(one.secret) not in repr(one)


def test_a_state_says_where_its_attempt_is() -> None:
    one = attempt()
    parts = parse_state(one.state)
    assert parts is not None
    assert (parts.transaction_id, parts.round, parts.instance) == (one.id, 2, "0123456789abcdef")


@given(st.text())
def test_other_states_say_nothing(state: str) -> None:
    assert parse_state(state) is None


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda c, _: [c[:-2] + ("A" if c[-2] != "A" else "B") + c[-1]], id="changed"),
        pytest.param(lambda c, _: [c, c], id="twice"),
        pytest.param(lambda c, _: [f"{c}; {c}"], id="twice in a line"),
        pytest.param(lambda c, _: [c.removeprefix("__Host-")], id="without its prefix"),
        pytest.param(lambda c, o: [f"{c.partition('=')[0]}={o.partition('=')[2]}"], id="another's"),
        pytest.param(lambda _, o: [o], id="another alone"),
        pytest.param(lambda c, _: [c.partition("=")[0]], id="no value"),
        pytest.param(lambda c, _: [f"{c.partition('=')[0]}=%%%"], id="garbage"),
        pytest.param(lambda _c, _o: [], id="gone"),
    ],
)
def test_a_spoilt_cookie_is_none(spoilt: object) -> None:
    one = attempt(1)
    cookie, other = pair(kept(one)[0]), pair(kept(attempt(2))[0])
    lines = spoilt(cookie, other)  # type: ignore[operator]
    assert COOKIES.find(lines, one.id, origin=APP) is None


def test_a_cookie_of_another_host_is_none() -> None:
    one = attempt()
    assert COOKIES.find([pair(kept(one)[0])], one.id, origin=ADMIN) is None


def test_a_retired_secret_opens_nothing_and_a_rotated_one_does() -> None:
    one = attempt()
    line = pair(kept(one)[0])
    retired = TransactionCookies(SecretKeys([b"n" * 32]), base_name="authz")
    rotated = TransactionCookies(SecretKeys([b"n" * 32, b"k" * 32]), base_name="authz")
    assert retired.find([line], one.id, origin=APP) is None
    assert rotated.find([line], one.id, origin=APP) == one


def test_the_longest_return_address_fits() -> None:
    url = "https://app.example.com/" + "p" * (MAX_STORED_BYTES - len("https://app.example.com/"))
    [cookie] = kept(attempt(return_to=url, provider="p" * 20, shortened=True))
    assert len(pair(cookie)) <= MAX_COOKIE_BYTES


def test_the_oldest_make_room() -> None:
    lines: list[str] = []
    for number in range(1, 41):
        new, *evicted = kept(attempt(number), *lines)
        gone = {pair(cookie).removesuffix("=") for cookie in evicted}
        assert all("Max-Age=0" in cookie and "; Secure" in cookie for cookie in evicted)
        lines = [line for line in lines if line.partition("=")[0] not in gone] + [pair(new)]
        assert len("; ".join(lines)) <= MAX_COOKIE_BYTES
    assert len(lines) > 3
    assert COOKIES.find(lines, attempt(40).id, origin=APP) is not None
    assert COOKIES.find(lines, attempt(1).id, origin=APP) is None


def test_forty_at_once_are_brought_down() -> None:
    lines = [pair(kept(attempt(number))[0]) for number in range(1, 41)]
    _, *evicted = kept(attempt(41), "; ".join(lines))
    gone = {pair(cookie).removesuffix("=") for cookie in evicted}
    left = [line for line in lines if line.partition("=")[0] not in gone]
    assert len("; ".join(left)) <= MAX_COOKIE_BYTES


def test_expired_ones_are_removed() -> None:
    old = attempt(1, id=transaction_id(NOW - MAX_AGE_SECONDS, b"\1" * 6))
    _, evicted = kept(attempt(2), pair(kept(old)[0]))
    assert old.id in evicted


def test_an_attempt_ages() -> None:
    one = attempt()
    assert one.is_fresh(one.started_at + MAX_AGE_SECONDS - 1)
    assert not one.is_fresh(one.started_at + MAX_AGE_SECONDS)
    assert not one.is_fresh(one.started_at - 61)


def test_a_cross_site_post_needs_same_site_none() -> None:
    [https] = COOKIES.keep(attempt(), (), origin=APP, cross_site=True)
    [http] = COOKIES.keep(attempt(), (), origin=LOCAL, cross_site=True)
    assert https.endswith("; HttpOnly; SameSite=None; Secure")
    assert https.startswith("__Host-")
    assert http.endswith("; HttpOnly; SameSite=None; Secure")
    assert http.startswith("authz-flow-")


def test_plain_http_has_no_prefix_and_no_secure() -> None:
    [cookie] = COOKIES.keep(attempt(), (), origin=LOCAL, cross_site=False)
    assert cookie.startswith("authz-flow-")
    assert "Secure" not in cookie
    assert "Secure" not in COOKIES.clear(attempt(), origin=LOCAL, cross_site=False)
    assert "Secure" in COOKIES.clear(attempt(), origin=LOCAL, cross_site=True)


def test_only_attempts_that_await_a_ticket_are_found_for_one() -> None:
    awaiting = attempt(1, provider=None)
    lines = [pair(kept(one)[0]) for one in (awaiting, attempt(2))]
    assert COOKIES.awaiting_handoff(lines, origin=APP, now=NOW) == (awaiting,)
    assert COOKIES.awaiting_handoff(lines, origin=ADMIN, now=NOW) == ()
    assert COOKIES.awaiting_handoff(lines, origin=APP, now=NOW + 1000) == ()


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255)), max_size=4))
def test_whatever_the_cookie_lines_hold_nothing_breaks(lines: list[str]) -> None:
    assert COOKIES.find(lines, attempt().id, origin=APP) is None
    assert COOKIES.awaiting_handoff(lines, origin=APP, now=NOW) == ()
    assert len(kept(attempt(), *lines)) >= 1


AWAITING = attempt(1, provider=None)
COOKIE = pair(kept(AWAITING)[0])


@given(similar_cookie_pairs(COOKIE.partition("=")[0]))
def test_a_cookie_of_a_sibling_host_is_another_one(look_alike: str) -> None:
    for lines in cookie_header_orders(COOKIE, look_alike):
        assert COOKIES.find(lines, AWAITING.id, origin=APP) == AWAITING
        assert COOKIES.awaiting_handoff(lines, origin=APP, now=NOW) == (AWAITING,)
        assert len(kept(attempt(2), *lines)) == 1, "nothing is evicted for it"
