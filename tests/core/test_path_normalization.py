from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz_sidecar.core.path_normalization import MAX_AMBIGUOUS_PATH_BYTES, interpretations
from authz_sidecar.core.urls import MalformedUrl
from authz_sidecar.policy.paths import decode_path

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/", id="root"),
        pytest.param("/a/b.html", id="plain"),
        pytest.param("/a/", id="trailing slash"),
        pytest.param("/.well-known/x", id="leading dot"),
        pytest.param("/...", id="three dots"),
        pytest.param("/a..b/..c", id="dots inside segments"),
        pytest.param("/a%20b", id="space"),
        pytest.param("/caf%C3%A9", id="text"),
        pytest.param("/%61dmin", id="escape of a letter"),
        pytest.param("/100%25", id="percent sign"),
        pytest.param("/admin%23/x", id="escape of a hash"),
        pytest.param("/a|b^c[d]", id="odd but unambiguous"),
    ],
)
def test_one_reading(path: str) -> None:
    assert interpretations(path) == (path,)


@pytest.mark.parametrize(
    ("path", "others"),
    [
        pytest.param("/a/../b", {"/b"}, id="dot-dot"),
        pytest.param("/a/./b", {"/a/b"}, id="dot"),
        pytest.param("/a/..", {"/"}, id="dot-dot at the end"),
        pytest.param("/..", {"/"}, id="above the root"),
        pytest.param("/public/%2E%2e/admin", {"/admin"}, id="encoded dots"),
        pytest.param("/a%2fb", {"/a/b"}, id="encoded slash"),
        pytest.param("/a%5Cb", {"/a/b"}, id="encoded backslash"),
        pytest.param("/a;p=1/b", {"/a/b"}, id="parameter"),
        pytest.param("/a%3bp/b", {"/a;p/b", "/a/b"}, id="encoded parameter"),
        pytest.param("/a/..;/b", {"/a/../b", "/b"}, id="dot-dot with a parameter"),
        pytest.param("/a//b", {"/a/b"}, id="empty segment"),
        pytest.param("//x/admin", {"/x/admin", "/admin"}, id="a host to some"),
        pytest.param("/%2fx/admin", {"//x/admin", "/x/admin", "/admin"}, id="encoded host"),
        pytest.param(
            "/public/%252e%252e/admin", {"/public/../admin", "/admin"}, id="decoded twice"
        ),
        pytest.param("/100%25ab", {"/100%ab"}, id="decoded twice, to no text"),
    ],
)
def test_several_readings(path: str, others: set[str]) -> None:
    found = interpretations(path)
    assert found[0] == path
    assert set(found[1:]) == others


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/public/a;x%2fy%2fz%2fw/..%2f..%2f..%2fadmin", id="parameters dropped first"),
        pytest.param("/public/x//../../../admin", id="merged before dots are resolved"),
        pytest.param("/admin//../public/..", id="not merged before dots are resolved"),
        pytest.param("/public/..%5c..%2fadmin", id="both separators"),
        pytest.param("/public/../admin/%2e%2e/../x", id="written dots resolved before decoding"),
        pytest.param("/public/..%252fadmin", id="separator under two escapes"),
        pytest.param("/public/..%253b/admin", id="parameter under two escapes"),
    ],
)
def test_whatever_order_a_server_takes_is_among_the_readings(path: str) -> None:
    assert any(re.match(r"/admin(/|\Z)", reading) for reading in interpretations(path))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="empty"),
        pytest.param("a", id="relative"),
        pytest.param("/a b", id="space"),
        pytest.param("/a\\b", id="backslash"),
        pytest.param("/a#b", id="fragment"),
        pytest.param("/caf\xe9", id="raw byte"),
        pytest.param("/a\x00b", id="raw nul"),
        pytest.param("/a%00b", id="nul"),
        pytest.param("/a%0ab", id="newline"),
        pytest.param("/a%7f", id="delete"),
        pytest.param("/a%c2%85", id="next line"),
        pytest.param("/a%2500", id="nul under two escapes"),
        pytest.param("/a%", id="lone percent sign"),
        pytest.param("/a%2", id="half an escape"),
        pytest.param("/a%zz", id="no escape"),
        pytest.param("/%u002e%u002e", id="IIS escape"),
        pytest.param("/%c0%ae%c0%ae/admin", id="overlong dots"),
        pytest.param("/%e0%80%af", id="overlong slash"),
        pytest.param("/%ff", id="no UTF-8"),
        pytest.param("/%ed%a0%80", id="surrogate"),
    ],
)
def test_refused_under_every_reading(path: str) -> None:
    with pytest.raises(MalformedUrl):
        interpretations(path)


@pytest.mark.parametrize(
    ("path", "folded"),
    [
        pytest.param("/Admin", "/admin", id="plain"),
        pytest.param("/%41dmin", "/admin", id="escaped"),
        pytest.param("/%C3%89", "/é", id="beyond ASCII"),
        pytest.param("/A%2FB", "/a%2fb", id="separator stays"),
        pytest.param("/A%2541", "/a%2541", id="escaped escape stays"),
    ],
)
def test_letter_case_is_a_reading_where_it_is_ignored(path: str, folded: str) -> None:
    assert folded in interpretations(path, ignore_case=True)
    assert folded not in interpretations(path)


def test_lower_case_is_no_second_reading() -> None:
    assert interpretations("/admin", ignore_case=True) == ("/admin",)


def test_long_paths_are_read_in_one_way_only() -> None:
    assert len(interpretations("/a" * 8000)) == 1
    assert len(interpretations("/%61" * 4000)) == 1
    with pytest.raises(MalformedUrl):
        interpretations("/a;" + "b" * MAX_AMBIGUOUS_PATH_BYTES)


def test_reading_is_bounded_in_time() -> None:
    path = ("/a;b%2f..%5c%252e%252f//" * 200)[:MAX_AMBIGUOUS_PATH_BYTES].rsplit("%", 1)[0]
    started = time.process_time()
    with pytest.raises(MalformedUrl):
        interpretations(path)
    assert time.process_time() - started < 0.25


PIECES = st.sampled_from(
    ["public", "admin", "x", "", ".", "..", "..;", ";p", "a;p", "%2e", "%2E%2e", "%61dmin", "%252e"]
)
SEPARATORS = st.sampled_from(["/", "//", "%2f", "%2F", "%5c", "/%2f", "%252f", ";/"])


@st.composite
def paths(draw: st.DrawFn) -> str:
    pieces = draw(st.lists(st.tuples(SEPARATORS, PIECES), max_size=8))
    return "/" + "".join(separator + piece for separator, piece in pieces)


def whatwg(path: str) -> str:
    """As `new URL(path, base).pathname`: a host is cut off, dots resolved, nothing merged."""
    if path.startswith("//"):
        path = "/" + path.lstrip("/").partition("/")[2]
    return unquote(_without_dots(path, merge=False))


def nginx(path: str) -> str:
    return _without_dots(unquote(path), merge=True)


def spring(path: str) -> str:
    """UrlPathHelper: parameters dropped from the raw path, then decoded, then slashes merged."""
    return re.sub("//+", "/", unquote(re.sub(";[^/]*", "", path)))


def tomcat_decoding_slashes(path: str) -> str:
    return _without_dots(unquote(re.sub(";[^/]*", "", path)), merge=True)


def iis(path: str) -> str:
    return _without_dots(unquote(path).replace("\\", "/"), merge=True)


def decoding_twice(path: str) -> str:
    return _without_dots(unquote(unquote(path)), merge=True)


def _without_dots(path: str, *, merge: bool) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if unquote(segment) == "..":
            del kept[-1:]
        elif unquote(segment) != "." and (segment or not merge):
            kept.append(segment)
    return "/" + "/".join(kept)


def served(path: str) -> str:
    """Where an application looks, given what its server made of the path."""
    return path.strip("/").partition("/")[0].partition(";")[0]


def readings_of(path: str) -> tuple[str, ...]:
    """None where the path is refused, which is always sound."""
    try:
        return interpretations(path)
    except MalformedUrl:
        return ()


def judged(reading: str) -> str:
    return decode_path(reading)[1:].partition("/")[0]


SERVERS = [whatwg, nginx, spring, tomcat_decoding_slashes, iis, decoding_twice]


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
@given(path=paths())
@example(path="/public/../admin//../public/x")
@example(path="/public/a;x%2fy%2fz%2fw/..%2f..%2f..%2fadmin")
@example(path="//x/admin")
def test_no_server_reads_what_is_not_among_the_readings(
    server: Callable[[str], str], path: str
) -> None:
    if served(server(path)) == "admin" and (found := readings_of(path)):
        assert "admin" in {judged(reading) for reading in found}


@given(path=paths())
def test_readings_are_paths_without_doubles(path: str) -> None:
    found = readings_of(path) or (path,)
    assert found[0] == path
    assert all(reading.startswith("/") for reading in found)
    assert len(set(found)) == len(found)


@given(text=st.text(max_size=40))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    try:
        found = interpretations(text)
    except MalformedUrl:
        return
    assert found[0] == text


@given(segments=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4))
def test_a_quoted_path_of_ordinary_text_is_never_refused(segments: list[str]) -> None:
    try:
        path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        return
    if not re.search(
        r"[\x00-\x1f\x7f-\x9f]", unquote_to_bytes(unquote(path)).decode(errors="replace")
    ):
        assert interpretations(path)[0] == path
