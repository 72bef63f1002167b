"""Cookies: names, attributes, strict reading, and what an application may see."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.urls import Origin
from authz_sidecar.sessions.cookie import SessionCookies, is_well_formed_token
from tests.sessions.siblings import cookie_header_orders, similar_cookie_pairs

APP = Origin("https", "app.example.com")
LOCAL = Origin("http", "app.localhost", 8080)
OTHER = Origin("https", "app.example.org")
TOKEN = "dGhpcyBpcyBub3QgYSBzZWNyZXQsIGJ1dCBsb25nLi4"
HOST = "__Host-authz"

COOKIES = SessionCookies(name="authz", same_site="lax", providers=("corp",))
SEVERAL = dataclasses.replace(COOKIES, providers=("corp", "lab"), default_provider="corp")
UNDECIDED = dataclasses.replace(COOKIES, providers=("corp", "lab"))
SHARED = dataclasses.replace(COOKIES, domain="example.com")


@pytest.mark.parametrize(
    ("cookies", "provider", "origin", "name"),
    [
        pytest.param(COOKIES, "corp", APP, "__Host-authz", id="only provider"),
        pytest.param(COOKIES, "corp", LOCAL, "authz", id="plain http"),
        pytest.param(SEVERAL, "corp", APP, "__Host-authz", id="default provider"),
        pytest.param(SEVERAL, "lab", APP, "__Host-authz-lab", id="other provider"),
        pytest.param(UNDECIDED, "corp", APP, "__Host-authz-corp", id="several and no default"),
        pytest.param(SHARED, "corp", APP, "__Secure-authz", id="shared domain"),
        pytest.param(SHARED, "corp", OTHER, "__Host-authz", id="outside the shared domain"),
    ],
)
def test_names(cookies: SessionCookies, provider: str, origin: Origin, name: str) -> None:
    assert cookies.name_for(provider, origin) == name


@pytest.mark.parametrize(
    ("cookies", "origin", "scope"),
    [
        pytest.param(COOKIES, APP, "https://app.example.com", id="origin"),
        pytest.param(COOKIES, LOCAL, "http://app.localhost:8080", id="with its port"),
        pytest.param(SHARED, APP, ".example.com", id="shared domain"),
        pytest.param(SHARED, Origin("https", "example.com"), ".example.com", id="apex"),
        pytest.param(SHARED, OTHER, "https://app.example.org", id="outside"),
        pytest.param(
            SHARED, Origin("https", "badexample.com"), "https://badexample.com", id="look-alike"
        ),
        pytest.param(
            SHARED, Origin("http", "app.example.com"), "http://.example.com", id="in the clear"
        ),
    ],
)
def test_scopes(cookies: SessionCookies, origin: Origin, scope: str) -> None:
    assert cookies.scope_for(origin) == scope


@pytest.mark.parametrize(
    ("cookies", "origin", "line"),
    [
        pytest.param(
            COOKIES, APP, f"__Host-authz={TOKEN}; Path=/; Secure; HttpOnly; SameSite=Lax", id="host"
        ),
        pytest.param(
            dataclasses.replace(COOKIES, same_site="strict"),
            APP,
            f"__Host-authz={TOKEN}; Path=/; Secure; HttpOnly; SameSite=Strict",
            id="strict",
        ),
        pytest.param(
            COOKIES, LOCAL, f"authz={TOKEN}; Path=/; HttpOnly; SameSite=Lax", id="plain http"
        ),
        pytest.param(
            SHARED,
            APP,
            f"__Secure-authz={TOKEN}; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax",
            id="shared domain",
        ),
    ],
)
def test_set(cookies: SessionCookies, origin: Origin, line: str) -> None:
    assert cookies.set_cookie(cookies.name_for("corp", origin), TOKEN, origin=origin) == line


def test_a_cookie_never_outlives_its_age() -> None:
    assert "; Max-Age=59; " in COOKIES.set_cookie(HOST, TOKEN, origin=APP, max_age=59.9)
    assert "; Max-Age=0; " in COOKIES.set_cookie(HOST, TOKEN, origin=APP, max_age=-1)


@pytest.mark.parametrize(
    ("name", "value"),
    [(HOST, "a;b"), (HOST, "a b"), (HOST, 'a"b'), (HOST, "a\r\nb"), ("", "a"), ("a b", "a")],
)
def test_what_would_break_a_header_is_not_set(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="not a cookie"):
        COOKIES.set_cookie(name, value, origin=APP)


def test_clear_repeats_every_attribute() -> None:
    assert SHARED.clear_cookie("__Secure-authz", origin=APP) == (
        "__Secure-authz=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        "; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax"
    )


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((f"{HOST}={TOKEN}",), id="alone"),
        pytest.param((f"a=1; {HOST}={TOKEN}; b=2",), id="among others"),
        pytest.param(("a=1", f"{HOST}={TOKEN}"), id="in a second line"),
        pytest.param((f'a="x; y"; {HOST}={TOKEN}',), id="after an odd one of the app"),
        pytest.param((f"{HOST}={TOKEN};",), id="semicolon at the end"),
        pytest.param((f"{HOST}-lab=x; {HOST}={TOKEN}",), id="beside another provider's"),
        pytest.param((f"authz=x; {HOST}={TOKEN}",), id="beside one without the prefix"),
        pytest.param((f"{HOST}={TOKEN}; {HOST}",), id="beside a nameless one of that value"),
        pytest.param((f"\x85{HOST}=x; {HOST}={TOKEN}",), id="beside a sibling's look-alike"),
    ],
)
def test_read(lines: tuple[str, ...]) -> None:
    assert COOKIES.read_token(lines, HOST) == TOKEN


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((), id="no header"),
        pytest.param(("",), id="empty header"),
        pytest.param((f"a={TOKEN}",), id="other name"),
        pytest.param((f"{HOST}={TOKEN}; {HOST}={TOKEN}",), id="twice in a line"),
        pytest.param((f"{HOST}=bad; {HOST}={TOKEN}",), id="bad then good"),
        pytest.param((f"{HOST}=bad", f"{HOST}={TOKEN}"), id="in two lines"),
        pytest.param((f"{HOST}={TOKEN}, {HOST}={TOKEN}",), id="folded by a comma"),
        pytest.param((f"a=1;{HOST}={TOKEN}",), id="no space before"),
        pytest.param((f"a=1;  {HOST}={TOKEN}",), id="two spaces before"),
        pytest.param((f"a=1;\t{HOST}={TOKEN}",), id="tab before"),
        pytest.param((f" {HOST}={TOKEN}",), id="space at the start"),
        pytest.param((f"{HOST} ={TOKEN}",), id="space after the name"),
        pytest.param((f"{HOST}= {TOKEN}",), id="space before the value"),
        pytest.param((f"{HOST}={TOKEN} ; a=1",), id="space after the value"),
        pytest.param((f"{HOST}={TOKEN}; {HOST} =x",), id="good and an odd one"),
        pytest.param((f"{HOST}={TOKEN}; \t{HOST}\t=x",), id="good and one between tabs"),
        pytest.param((f"\x85{HOST}={TOKEN}",), id="a sibling's look-alike"),
        pytest.param((f"\xa0{HOST}={TOKEN}",), id="another look-alike"),
        pytest.param((f'{HOST}="{TOKEN}"',), id="quoted"),
        pytest.param((f'{HOST}="\\144{TOKEN[1:]}"',), id="octal escapes"),
        pytest.param((f"${HOST}={TOKEN}",), id="dollar"),
        pytest.param((f"__host-authz={TOKEN}",), id="prefix in lower case"),
        pytest.param((f"{HOST.upper()}={TOKEN}",), id="upper case"),
        pytest.param((f"authz={TOKEN}",), id="without the prefix"),
        pytest.param((f"{HOST}",), id="no equals sign"),
        pytest.param((f"{HOST}=",), id="empty"),
        pytest.param((f"{HOST}={TOKEN[:-1]}",), id="too short"),
        pytest.param((f"{HOST}={TOKEN}A",), id="too long"),
        pytest.param((f"{HOST}={'A' * 65000}",), id="64 kB"),
        pytest.param((f"{HOST}={TOKEN[:-1]}5",), id="a second spelling of the same bits"),
        pytest.param((f"{HOST}={TOKEN[:-1]}\n",), id="newline"),
        pytest.param((f"{HOST}=*",), id="metacharacters"),
        pytest.param((f'{HOST}=%%%"\\; {HOST}x=1',), id="nonsense"),
        pytest.param((f"{HOST}_0={TOKEN}",), id="parts"),
    ],
)
def test_no_session(lines: tuple[str, ...]) -> None:
    assert COOKIES.read_token(lines, HOST) is None


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        pytest.param((), None, id="no header"),
        pytest.param(("a=1;b=2 ; c",), None, id="nothing of ours"),
        pytest.param((f"{HOST}={TOKEN}",), "", id="ours alone"),
        pytest.param((f"{HOST}={TOKEN}; a=1",), "a=1", id="first"),
        pytest.param((f"a=1; {HOST}={TOKEN}",), "a=1", id="last"),
        pytest.param((f"a=1; {HOST}={TOKEN}; b=2",), "a=1; b=2", id="between"),
        pytest.param((f"a=1;{HOST}={TOKEN};b= 2 ;;c",), "a=1;b= 2 ;;c", id="odd ones stay odd"),
        pytest.param((f"{HOST}={TOKEN}", "a=1"), "a=1", id="a line of its own"),
        pytest.param(("a=1", f"{HOST}=x; b=2"), "a=1; b=2", id="lines are joined"),
        pytest.param((f"{HOST}-lab=x; a=1",), "a=1", id="other provider's"),
        pytest.param(("__Host-authz-flow-17f=x; a=1",), "a=1", id="attempt"),
        pytest.param(("authz-loop=3; a=1",), "a=1", id="without prefix"),
        pytest.param(("__Secure-authz=x; a=1",), "a=1", id="secure prefix"),
        pytest.param(("__host-AUTHZ=x; a=1",), "a=1", id="letter case"),
        pytest.param(("authz =x; a=1",), "a=1", id="space after the name"),
        pytest.param((f"{HOST}=x; {HOST}=y; a=1",), "a=1", id="twice"),
        pytest.param((f"{HOST}; a=1",), "a=1", id="no equals sign"),
        pytest.param(("authzed=1; authz_seen=2; xauthz=3",), None, id="the app's similar names"),
    ],
)
def test_strip(lines: tuple[str, ...], left: str | None) -> None:
    assert COOKIES.remove_own(lines) == left


OURS = st.sampled_from([HOST, "authz", "__Secure-authz", "__Host-authz-flow-1", "authz-loop"])
ANYTHING = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters=";"), max_size=12
)
THEIRS = ANYTHING.filter(
    lambda pair: not COOKIES.is_own_name(pair.partition("=")[0]) and pair == pair.strip(" ")
)


@given(st.lists(st.text(st.characters(max_codepoint=0xFF), max_size=60), max_size=3).map(tuple))
def test_whatever_arrives_is_a_token_or_nothing(lines: tuple[str, ...]) -> None:
    found = COOKIES.read_token(lines, HOST)
    assert found is None or is_well_formed_token(found)
    COOKIES.remove_own(lines)


@given(st.lists(THEIRS.filter(bool)), st.lists(THEIRS.filter(bool)))
def test_a_cookie_that_was_set_is_read_among_any_others(
    before: list[str], after: list[str]
) -> None:
    pair = COOKIES.set_cookie(HOST, TOKEN, origin=APP).partition(";")[0]
    line = "; ".join([*before, pair, *after])
    assert COOKIES.read_token((line,), HOST) == TOKEN
    assert COOKIES.remove_own((line,)) == "; ".join([*before, *after])


@given(st.lists(THEIRS | st.tuples(OURS, ANYTHING).map("=".join), min_size=1, max_size=8))
def test_all_but_ours_stays_byte_for_byte(pairs: list[str]) -> None:
    kept = [pair for pair in pairs if not COOKIES.is_own_name(pair.partition("=")[0])]
    left = COOKIES.remove_own(("; ".join(pairs),))
    if len(kept) == len(pairs):
        assert left is None
    else:
        assert left == ("; ".join(kept) if any(kept) else "")


@given(st.lists(st.text(st.characters(max_codepoint=0xFF), max_size=60), max_size=3).map(tuple))
def test_what_was_stripped_holds_none_of_ours(lines: tuple[str, ...]) -> None:
    left = COOKIES.remove_own(lines)
    assert left is None or COOKIES.remove_own((left,)) is None


@given(similar_cookie_pairs(HOST))
def test_a_cookie_of_a_sibling_host_is_another_one(look_alike: str) -> None:
    for lines in cookie_header_orders(f"{HOST}={TOKEN}", look_alike):
        assert COOKIES.read_token(lines, HOST) == TOKEN
    assert COOKIES.read_token((look_alike,), HOST) is None
