"""Return addresses: what is kept, what is refused, and that nothing accepted leaves our origins."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.core.redirects import MAX_STORED_BYTES, ReturnUrlValidator
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.errors import BadReturnUrl

ROOT = Path(__file__).parents[2]
WWW = parse_origin("https://www.whitelisteddomain.tld")
APP = parse_origin("https://app.whitelisteddomain.tld")
ADDRESSES = ReturnUrlValidator(is_known_origin={WWW, APP}.__contains__, base_path="/.auth")


def corpus_files() -> list[Path]:
    """Our own corpus, and the larger one where the environment names it or it lies beside us."""
    shared = os.environ.get("OPEN_REDIRECTS")
    beside = ROOT.parent / "shared" / "corpora" / "open_redirects.txt"
    files = [ROOT / "tests" / "corpus" / "open_redirects.txt"]
    if shared:
        files.append(Path(shared))
    elif beside.exists():
        files.append(beside)
    return files


def corpus() -> list[str]:
    return sorted(
        {line for file in corpus_files() for line in file.read_text("utf-8").split("\n") if line}
    )


def test_open_redirects_are_all_refused() -> None:
    accepted = []
    for line in corpus():
        try:
            accepted.append((line, ADDRESSES.validate(unquote_plus(line), base_origin=APP)))
        except BadReturnUrl:
            continue
    assert accepted == []


def test_open_redirects_never_leave_us_when_they_arrive_undecoded() -> None:
    for line in corpus():
        try:
            url = ADDRESSES.validate(line, base_origin=APP)
        except BadReturnUrl:
            continue
        assert re.fullmatch(r"https://(www|app)\.whitelisteddomain\.tld/[!-~]*", url), line


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("/", "https://app.whitelisteddomain.tld/", id="the root"),
        pytest.param(
            "/a/b?x=1&y=%2f&x=2",
            "https://app.whitelisteddomain.tld/a/b?x=1&y=%2f&x=2",
            id="path with its whole query",
        ),
        pytest.param(
            "/a?next=https://evil.example/",
            "https://app.whitelisteddomain.tld/a?next=https://evil.example/",
            id="somebody else's address is only data in a query",
        ),
        pytest.param(
            "https://www.whitelisteddomain.tld/",
            "https://www.whitelisteddomain.tld/",
            id="another origin of ours",
        ),
        pytest.param(
            "https://WWW.whitelisteddomain.tld:443/x",
            "https://www.whitelisteddomain.tld/x",
            id="default port and letter case are normalised",
        ),
        pytest.param(
            "https://www.whitelisteddomain.tld?x",
            "https://www.whitelisteddomain.tld/?x",
            id="no path",
        ),
        pytest.param(
            "/caf%C3%89/%E2%82%AC?q=%E2%82%AC",
            "https://app.whitelisteddomain.tld/caf%C3%89/%E2%82%AC?q=%E2%82%AC",
            id="escaped letters beyond ASCII",
        ),
        pytest.param(
            "https://app.whitelisteddomain.tld/a//b/c;v=1",
            "https://app.whitelisteddomain.tld/a//b/c;v=1",
            id="after a spelt-out origin a path may look as it likes",
        ),
        pytest.param("/.auth/", "https://app.whitelisteddomain.tld/.auth/", id="who am I"),
    ],
)
def test_kept(raw: str, expected: str) -> None:
    assert ADDRESSES.validate(raw, base_origin=APP) == expected


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("/.auth/sign_out", id="sign-out"),
        pytest.param("/.auth", id="the prefix itself"),
        pytest.param("/.auth/start?rd=/", id="start"),
        pytest.param("/%2eauth/sign_out", id="escaped"),
        pytest.param("/%252eauth/sign_out", id="escaped twice"),
        pytest.param("/.auth;x=1/sign_out", id="with parameters"),
        pytest.param("/.auth%2fsign_out", id="escaped separator"),
        pytest.param("https://app.whitelisteddomain.tld/x/../.auth/sign_out", id="dot segments"),
        pytest.param("https://app.whitelisteddomain.tld//.auth/sign_out", id="empty segment"),
    ],
)
def test_own_routes_become_the_default_page(raw: str) -> None:
    assert ADDRESSES.validate(raw, base_origin=APP) == "https://app.whitelisteddomain.tld/"


def test_a_path_that_only_begins_alike_is_not_ours() -> None:
    assert (
        ADDRESSES.validate("/.author/x", base_origin=APP)
        == "https://app.whitelisteddomain.tld/.author/x"
    )


def test_a_long_query_is_dropped_and_said_so() -> None:
    kept = ADDRESSES.parse("/long?" + "q" * MAX_STORED_BYTES, base_origin=APP)
    assert (kept.url, kept.is_truncated) == ("https://app.whitelisteddomain.tld/long", True)


def test_a_long_path_becomes_the_default_page() -> None:
    kept = ADDRESSES.parse("/" + "p" * MAX_STORED_BYTES, base_origin=APP)
    assert (kept.url, kept.is_truncated) == ("https://app.whitelisteddomain.tld/", True)


def test_an_absurd_one_is_refused_unread() -> None:
    with pytest.raises(BadReturnUrl):
        ADDRESSES.validate("/" + "p" * 20_000, base_origin=APP)


@given(st.text())
def test_whatever_arrives_is_refused_or_ours(raw: str) -> None:
    try:
        url = ADDRESSES.validate(raw, base_origin=APP)
    except BadReturnUrl:
        return
    assert re.fullmatch(r"https://(www|app)\.whitelisteddomain\.tld/[!-~]*", url)
    assert "\\" not in url
    assert ADDRESSES.validate(url, base_origin=WWW) == url
