"""Two parsers, one reading: whatever bytes come, h11 behind our grammar reads the same requests from
them as httptools does, or refuses as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httptools
import pytest
from h11 import RemoteProtocolError
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_sidecar.server.grammar import METHODS, Chunks, Fields, Lines, MalformedError
from authz_sidecar.server.limits import validate_head
from authz_sidecar.server.protocol import RequestRefusedError
from authz_sidecar.server.reading import Parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REFUSALS = (httptools.HttpParserError, MalformedError, RemoteProtocolError, RequestRefusedError)


class Reader:
    """The requests that one parser reads, and whether it waits for another at the end."""

    def __init__(self, parser: Callable[[Any], Any]) -> None:
        self.parser = parser(self)
        self.requests: list[dict[str, Any]] = []
        self._request: dict[str, Any] | None = None
        self._last = False
        self._refused = False

    def read(self, pieces: Sequence[bytes]) -> Reader:
        try:
            for piece in pieces:
                self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass
        except REFUSALS:
            self._refused = not self._last
        return self

    @property
    def at_rest(self) -> bool:
        return self._last or (self._request is None and not self._refused)

    def on_message_begin(self) -> None:
        self._request = {"target": b"", "headers": [], "body": b""}

    def on_url(self, url: bytes) -> None:
        if self._request is not None:
            self._request["target"] += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._request is not None and "method" not in self._request:
            self._request["headers"].append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._request is None or self._last:
            return
        version = self.parser.get_http_version()
        if validate_head(self._request["target"], version, self._request["headers"]) is not None:
            raise RequestRefusedError
        self._request["method"] = self.parser.get_method()
        self._request["version"] = version
        self._request["upgrade"] = self.parser.should_upgrade()
        self._request["last"] = version == "1.0" or not self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if self._request is not None:
            self._request["body"] += body

    def on_message_complete(self) -> None:
        if self._request is not None and not self._last:
            self.requests.append(self._request)
            # The protocols close behind it, whatever a parser makes of what follows.
            self._last = self._request["last"] or self._request["upgrade"]
        self._request = None


def of_httptools(told: Any) -> Any:
    parser = httptools.HttpRequestParser(told)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
    return parser


def same(pieces: Sequence[bytes]) -> Reader:
    theirs, ours = Reader(of_httptools).read(pieces), Reader(Parser).read(pieces)
    assert ours.requests == theirs.requests
    assert ours.at_rest is theirs.at_rest
    return ours


LINES = st.sampled_from(
    [
        *(b"Host: a", b"X: 1 \t ", b"Y:", b"Content-Length: 3", b"Content-Length:2 ", b"Expect: 1"),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close"),
        *(b"Connection: Upgrade, x", b"Upgrade: h2c", b"Proxy-Connection: close", b"Z: \xe9"),
    ]
)
BODIES = st.sampled_from(
    [
        *(b"", b"abc", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"a;x\r\n0123456789\r\n00\r\n\r\n"),
        *(b'1;a="b;\\"c";d=e\r\na\r\n0\r\nX: y\r\n\r\n', b"0\r\nConnection: close\r\n\r\n"),
    ]
)
STRANGE = st.one_of(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b"=", b'"', b"\\", b",", b"#"]
    ),
    st.sampled_from([b"\x00", b"\x7f", b"0", b"f", b"/", b"?", b"HTTP/1.0", b"GET", b" X: y\r\n"]),
    st.binary(min_size=1, max_size=2),
    LINES.map(lambda line: line + b"\r\n"),
)


@st.composite
def conversations(draw: Any) -> bytes:
    """Some requests, a few of them damaged."""
    whole = b""
    for _ in range(draw(st.integers(1, 3))):
        method = draw(st.sampled_from([b"GET", b"POST", b"CONNECT", b"M-SEARCH", b"FOO"]))
        target = draw(st.sampled_from([b"/a", b"//b?c", b"/%2f?", b"*", b"http://b/", b"b:80"]))
        version = draw(st.sampled_from([b" HTTP/1.1"] * 6 + [b" HTTP/1.0", b" HTTP/2.0", b""]))
        lines = [b"Host: a", *draw(st.lists(LINES, max_size=3))]
        request = b"\r\n".join((method + b" " + target + version, *lines, b"", draw(BODIES)))
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(request)))
            request = request[:at] + draw(STRANGE) + request[at + draw(st.integers(0, 2)) :]
        whole += request
    return whole


@settings(max_examples=3000)
@given(data=conversations(), size=st.sampled_from([1, 2, 7, 1000]))
def test_both_read_the_same(data: bytes, size: int) -> None:
    same([data[at : at + size] for at in range(0, len(data), size)])


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method(method: bytes) -> None:
    head = method + b" /a HTTP/1.1\r\nHost: a\r\n\r\n"
    assert [each["method"] for each in same([head]).requests] == [method]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"GET /a RTSP/1.0", id="RTSP"),
        pytest.param(b"DESCRIBE /a RTSP/1.0", id="a method of RTSP"),
        pytest.param(b"SOURCE /a ICE/1.0", id="ICE"),
    ],
)
def test_h11_takes_no_other_protocol(first: bytes) -> None:
    """httptools says of these that they are HTTP/1.0: here alone one refuses what the other reads."""
    head = [first + b"\r\nHost: a\r\n\r\n"]
    assert len(Reader(of_httptools).read(head).requests) == 1
    assert Reader(Parser).read(head).requests == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"X:" + b" \t" * 30_000 + b"\x00", id="spaces before a bad byte"),
        pytest.param(b"a" * 60_000, id="a name without an end"),
        pytest.param(b"X: " + b"a " * 30_000 + b"\x7f", id="words before a bad byte"),
    ],
)
def test_a_bad_line_is_refused_however_late(line: bytes) -> None:
    """In one pass over it: otherwise these take minutes."""
    with pytest.raises(MalformedError):
        Fields().read(line)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"1" * 60_000 + b"x", id="a size without an end"),
        pytest.param(b"1" + b";a" * 30_000 + b"\x00", id="extensions before a bad byte"),
        pytest.param(b'1;a="' + b"\\" * 60_000, id="a quotation without an end"),
    ],
)
def test_a_bad_chunk_is_refused_however_late(line: bytes) -> None:
    lines = Lines()
    lines.add(line + b"\r\n")
    with pytest.raises(MalformedError):
        Chunks(Fields()).read(lines)
