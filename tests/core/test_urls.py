from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.urls import (
    MalformedUrl,
    Origin,
    check_visible_ascii,
    parse_authority,
    parse_origin,
    parse_url,
)

APP = Origin("https", "app.example.com")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        pytest.param("app.example.com", APP, id="plain"),
        pytest.param("APP.Example.COM", APP, id="letter case"),
        pytest.param("app.example.com.", APP, id="trailing dot"),
        pytest.param("app.example.com:443", APP, id="default port"),
        pytest.param("app.example.com.:443", APP, id="both"),
        pytest.param("app.example.com:8443", Origin("https", APP.host, 8443), id="other port"),
        pytest.param("app.example.com:80", Origin("https", APP.host, 80), id="port of http"),
        pytest.param("localhost", Origin("https", "localhost"), id="one label"),
        pytest.param("192.0.2.1", Origin("https", "192.0.2.1"), id="IPv4"),
        pytest.param("[::1]", Origin("https", "[::1]"), id="IPv6"),
        pytest.param("[2001:DB8::1]:9", Origin("https", "[2001:db8::1]", 9), id="IPv6 and port"),
        pytest.param("xn--bcher-kva.example", Origin("https", "xn--bcher-kva.example"), id="IDN"),
        pytest.param("a-b.c--d", Origin("https", "a-b.c--d"), id="hyphens"),
        pytest.param(f"{'a' * 63}.example", Origin("https", f"{'a' * 63}.example"), id="63"),
    ],
)
def test_authority(text: str, origin: Origin) -> None:
    assert parse_authority(text, scheme="https") == origin


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="dot"),
        pytest.param("app.example.com..", id="two dots"),
        pytest.param(".example.com", id="leading dot"),
        pytest.param("app..example.com", id="empty label"),
        pytest.param("app.example.com,admin.example.com", id="list"),
        pytest.param("app.example.com, admin.example.com", id="list with a space"),
        pytest.param("app.example.com@evil.example", id="userinfo"),
        pytest.param("user:pass@app.example.com", id="userinfo with a colon"),
        pytest.param("evil.example/app.example.com", id="path"),
        pytest.param("evil.example?app.example.com", id="query"),
        pytest.param("evil.example#app.example.com", id="fragment"),
        pytest.param("evil.example\\app.example.com", id="backslash"),
        pytest.param("app%2eexample.com", id="escape"),
        pytest.param("app_1.example.com", id="underscore"),
        pytest.param("-app.example.com", id="leading hyphen"),
        pytest.param("app-.example.com", id="trailing hyphen"),
        pytest.param(" app.example.com", id="leading space"),
        pytest.param("app.example.com\n", id="newline"),
        pytest.param("app.example.com\x00", id="nul"),
        pytest.param("app\u3002example\uff0ecom", id="other dots"),
        pytest.param("\uff41pp.example.com", id="full-width letter"),
        pytest.param("\u212aelvin.example", id="Kelvin sign, which lower-cases to k"),
        pytest.param("bücher.example", id="IDN not in ASCII"),
        pytest.param(f"{'a' * 64}.example", id="label of 64"),
        pytest.param(".".join(["a" * 60] * 5), id="name of 304"),
        pytest.param("app.example.com:", id="empty port"),
        pytest.param("app.example.com:0", id="port 0"),
        pytest.param("app.example.com:0443", id="leading zero"),
        pytest.param("app.example.com:65536", id="port too large"),
        pytest.param("app.example.com:99999999999", id="port far too large"),
        pytest.param("app.example.com:+443", id="signed port"),
        pytest.param("app.example.com:\uff14\uff14\uff13", id="full-width port"),
        pytest.param("app.example.com:443:443", id="two ports"),
        pytest.param("::1", id="IPv6 without brackets"),
        pytest.param("[::1", id="open bracket"),
        pytest.param("[::1]x", id="after the bracket"),
        pytest.param("[fe80::1%25eth0]", id="zone"),
    ],
)
def test_no_authority(text: str) -> None:
    with pytest.raises(MalformedUrl):
        parse_authority(text, scheme="https")


@pytest.mark.parametrize("scheme", ["", "HTTPS", "ftp", "javascript", "ws"])
def test_no_scheme(scheme: str) -> None:
    with pytest.raises(MalformedUrl, match="scheme"):
        parse_authority("app.example.com", scheme=scheme)


@given(st.text())
def test_an_authority_is_in_normal_form_or_refused(text: str) -> None:
    try:
        origin = parse_authority(text, scheme="https")
    except MalformedUrl:
        return
    assert parse_authority(origin.authority, scheme="https") == origin
    assert origin.host == origin.host.lower()
    assert origin.authority.isascii()


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        pytest.param("https://app.example.com", APP, id="https"),
        pytest.param("http://app.example.com:80", Origin("http", APP.host), id="default port"),
        pytest.param("http://localhost:8080", Origin("http", "localhost", 8080), id="port"),
    ],
)
def test_origin(text: str, origin: Origin) -> None:
    assert parse_origin(text) == origin
    assert parse_origin(str(origin)) == origin


@pytest.mark.parametrize(
    "text",
    ["app.example.com", "https:app.example.com", "https://", "https://app.example.com/", "//a.b"],
)
def test_no_origin(text: str) -> None:
    with pytest.raises(MalformedUrl):
        parse_origin(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        pytest.param("https://app.example.com", "/", id="nothing"),
        pytest.param("https://app.example.com/", "/", id="root"),
        pytest.param("https://app.example.com/a/b?c=d&e", "/a/b?c=d&e", id="path and query"),
        pytest.param("https://app.example.com?c=/d", "/?c=/d", id="query alone"),
        pytest.param("https://APP.example.com:443//x", "//x", id="two slashes"),
        pytest.param("https://app.example.com/@evil.example", "/@evil.example", id="at sign"),
    ],
)
def test_url(text: str, target: str) -> None:
    assert parse_url(text) == (APP, target)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("/a", id="path"),
        pytest.param("//app.example.com/", id="no scheme"),
        pytest.param("https:/app.example.com/", id="one slash"),
        pytest.param("https:///a", id="no host"),
        pytest.param("HTTPS://app.example.com/", id="upper case"),
        pytest.param("ftp://app.example.com/", id="another scheme"),
        pytest.param("javascript://app.example.com/%0aalert(1)", id="javascript"),
        pytest.param("https://u@app.example.com/", id="userinfo"),
        pytest.param("https://app.example.com\\@evil.example/", id="backslash"),
        pytest.param("https://app.example.com/a b", id="space"),
        pytest.param("https://app.example.com/a\tb", id="tab"),
        pytest.param("https://app.example.com/#a", id="fragment"),
        pytest.param("https://app.example.com/é", id="not ASCII"),
    ],
)
def test_no_url(text: str) -> None:
    with pytest.raises(MalformedUrl):
        parse_url(text)


@given(st.text())
def test_visible_ascii_or_a_refusal_in_ascii(text: str) -> None:
    if all("!" <= letter <= "~" and letter not in "\\#" for letter in text):
        check_visible_ascii(text)
    else:
        with pytest.raises(MalformedUrl, match=r"\Abyte 0x[0-9a-f]+ may not"):
            check_visible_ascii(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("notlocalhost", False),
        ("localhost.example.com", False),
        ("127.0.0.2", False),
    ],
)
def test_loopback_is_by_name(host: str, loopback: bool) -> None:  # noqa: FBT001
    assert Origin("http", host).is_loopback is loopback


def test_an_origin_is_written_as_it_is_read() -> None:
    assert str(APP) == "https://app.example.com"
    assert Origin("http", "localhost", 8080).authority == "localhost:8080"
