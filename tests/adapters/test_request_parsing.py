from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_sidecar.adapters.request_parsing import client_address, is_websocket
from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet

HOPS = NetworkSet((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], None, id="absent"),
        pytest.param([""], None, id="empty"),
        pytest.param(["203.0.113.7"], "203.0.113.7", id="one"),
        pytest.param(["6.6.6.6, 203.0.113.7"], "203.0.113.7", id="right-most"),
        pytest.param(["6.6.6.6", "203.0.113.7"], "203.0.113.7", id="right-most of two lines"),
        pytest.param(["6.6.6.6, 203.0.113.7, 10.1.1.1"], "203.0.113.7", id="own hop skipped"),
        pytest.param(["203.0.113.7, fd00::1, 10.1.1.1"], "203.0.113.7", id="own hops skipped"),
        pytest.param(["203.0.113.7, ::ffff:10.1.1.1"], "203.0.113.7", id="mapped hop skipped"),
        pytest.param(["2001:db8::1"], "2001:db8::1", id="IPv6"),
        pytest.param(["::ffff:203.0.113.7"], "203.0.113.7", id="mapped"),
        pytest.param(["203.0.113.7, unknown"], None, id="unparsable on the right"),
        pytest.param(["unknown, 203.0.113.7"], "203.0.113.7", id="unparsable on the left"),
        pytest.param(["203.0.113.7,"], None, id="empty on the right"),
        pytest.param(["203.0.113.7:1234"], None, id="with a port"),
        pytest.param(["010.1.2.3"], None, id="octal or not"),
        pytest.param(["10.1.1.1"], None, id="nothing but own hops"),
    ],
)
def test_client_address(lines: list[str], expected: str | None) -> None:
    headers = tuple(("x-forwarded-for", line) for line in lines)
    found = client_address(headers, trusted_hops=HOPS)
    assert found == (None if expected is None else ip_address(expected))


@given(st.lists(st.text(max_size=50), max_size=3))
def test_any_text_is_an_address_or_unknown(lines: list[str]) -> None:
    client_address(tuple(("x-forwarded-for", line) for line in lines), trusted_hops=NO_NETWORKS)


@pytest.mark.parametrize(
    ("headers", "scheme", "expected"),
    [
        pytest.param((), "https", False, id="no sign of it"),
        pytest.param((), "wss", True, id="scheme"),
        pytest.param((("upgrade", "WebSocket"),), "https", True, id="upgrade"),
        pytest.param((("sec-websocket-key", "x"),), "https", True, id="key"),
        pytest.param((("sec-websocket-version", "13"),), "https", True, id="version"),
        pytest.param((("upgrade", "h2c"),), "https", False, id="another upgrade"),
    ],
)
def test_websocket(headers: tuple[tuple[str, str], ...], scheme: str, *, expected: bool) -> None:
    assert is_websocket(headers, reported_scheme=scheme) is expected
