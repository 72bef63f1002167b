from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.config import value_parsers
from authz_sidecar.config.value_parsers import ListenAddress, TcpAddress, UnixAddress

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("14h", 50400.0, id="hours"),
        pytest.param("1h30m", 5400.0, id="hours and minutes"),
        pytest.param("0s", 0.0, id="nothing"),
        pytest.param("500ms", 0.5, id="milliseconds"),
        pytest.param("2d", 172800.0, id="days"),
        pytest.param("1.5h", 5400.0, id="a fraction"),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert value_parsers.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "h", "-5s", "5 s", "5S", "5y", "1h 30m", "1e3s", "9999999d"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|ten years"):
        value_parsers.parse_duration(text)


@given(st.integers(min_value=0, max_value=3650 * 86_400_000))
def test_durations_are_written_as_they_are_read(milliseconds: int) -> None:
    assert (
        value_parsers.parse_duration(value_parsers.format_duration(milliseconds / 1000))
        == milliseconds / 1000
    )


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        pytest.param("127.0.0.1:9180", TcpAddress("127.0.0.1", 9180), True, id="loopback"),
        pytest.param("[::1]:9180", TcpAddress("::1", 9180), True, id="loopback, IPv6"),
        pytest.param("localhost:9180", TcpAddress("localhost", 9180), True, id="localhost"),
        pytest.param("0.0.0.0:9180", TcpAddress("0.0.0.0", 9180), False, id="everywhere"),
        pytest.param("[::]:0", TcpAddress("::", 0), False, id="a port of the system's choice"),
        pytest.param("unix:/run/a.sock", UnixAddress("/run/a.sock"), True, id="unix"),
    ],
)
def test_listen_addresses(text: str, address: ListenAddress, *, loopback: bool) -> None:
    parsed = value_parsers.parse_listen_address(text)
    assert parsed == address
    assert parsed.is_loopback is loopback
    assert str(parsed) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("9180", "is not a listen address", id="port alone"),
        pytest.param(":9180", "write `0.0.0.0:9180`", id="no address"),
        pytest.param("127.0.0.1", "is not a listen address", id="no port"),
        pytest.param("127.0.0.1:70000", "is not a listen address", id="port too large"),
        pytest.param("::1:9180", "in brackets", id="IPv6 without brackets"),
        pytest.param("[127.0.0.1]:9180", "in brackets", id="brackets around IPv4"),
        pytest.param("example.com:9180", "is not an IP address", id="a name"),
        pytest.param("unix:run.sock", "absolute path", id="relative socket"),
        pytest.param("unix:/" + "x" * 120, "longer than the 107 bytes", id="long socket"),
        pytest.param("unix:", "absolute path", id="no path"),
    ],
)
def test_no_listen_addresses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value_parsers.parse_listen_address(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param(value_parsers.parse_exact_network, "10.0.0.0/8", id="network"),
        pytest.param(value_parsers.parse_exact_network, "::1", id="address"),
        pytest.param(value_parsers.parse_origin_text, "https://app.example.com", id="origin"),
        pytest.param(value_parsers.parse_issuer, "https://idp.example.com/realms/a", id="issuer"),
        pytest.param(
            value_parsers.parse_issuer, "https://idp.example.com/", id="issuer with a slash"
        ),
        pytest.param(value_parsers.parse_issuer, "http://localhost:8080", id="loopback issuer"),
        pytest.param(
            value_parsers.parse_issuer, "http://idp.localhost:8080/x", id="localhost issuer"
        ),
        pytest.param(value_parsers.parse_name, "corp-1", id="name"),
        pytest.param(value_parsers.parse_header_name, "X-Department", id="header"),
        pytest.param(value_parsers.parse_cookie_name, "authz", id="cookie"),
        pytest.param(value_parsers.parse_cookie_domain, "example.com", id="domain"),
        pytest.param(value_parsers.parse_base_path, "/.auth", id="base path"),
        pytest.param(value_parsers.parse_base_path, "/a/b", id="deep base path"),
    ],
)
def test_accepted(parse: Callable[[str], object], text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        pytest.param(
            value_parsers.parse_exact_network, "10.0.0.1/8", "write `10.0.0.0/8`", id="host bits"
        ),
        pytest.param(
            value_parsers.parse_exact_network, "everybody", "not a network", id="no network"
        ),
        pytest.param(
            value_parsers.parse_origin_text,
            "https://a.example.com/",
            "without a path",
            id="origin with a path",
        ),
        pytest.param(
            value_parsers.parse_origin_text,
            "a.example.com",
            "not an origin",
            id="origin without a scheme",
        ),
        pytest.param(
            value_parsers.parse_issuer, "http://idp.example.com", "must be https", id="http issuer"
        ),
        pytest.param(
            value_parsers.parse_issuer,
            "https://idp.example.com?x=1",
            "must not have a query",
            id="issuer query",
        ),
        pytest.param(
            value_parsers.parse_issuer,
            "https://idp.example.com#x",
            "may not stand",
            id="issuer fragment",
        ),
        pytest.param(value_parsers.parse_name, "Corp", "lower-case", id="capital"),
        pytest.param(value_parsers.parse_name, "a/b", "lower-case", id="slash"),
        pytest.param(
            value_parsers.parse_header_name, "X Y", "header name", id="header with a space"
        ),
        pytest.param(
            value_parsers.parse_header_name, "X_Y", "header name", id="header with an underscore"
        ),
        pytest.param(
            value_parsers.parse_cookie_name, "a-b", "cookie name", id="cookie with a hyphen"
        ),
        pytest.param(value_parsers.parse_cookie_domain, "com", "domain", id="top-level domain"),
        pytest.param(
            value_parsers.parse_cookie_domain, "10.0.0.1", "domain", id="address as domain"
        ),
        pytest.param(
            value_parsers.parse_cookie_domain, "a.example.com:1", "domain", id="domain with a port"
        ),
        pytest.param(value_parsers.parse_base_path, "/", "not a path", id="root"),
        pytest.param(value_parsers.parse_base_path, "/.auth/", "not a path", id="trailing slash"),
        pytest.param(value_parsers.parse_base_path, "auth", "not a path", id="no slash"),
        pytest.param(value_parsers.parse_base_path, "/a/../b", "not a path", id="dot segments"),
        pytest.param(value_parsers.parse_base_path, "/a%2fb", "not a path", id="escape"),
    ],
)
def test_refused(parse: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
