"""Whose address a browser's request comes from."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from starlette.requests import Request

from authz_sidecar.adapters.trusted_peers import NetworkSet
from authz_sidecar.web.check_app import client_address_resolver


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        pytest.param("127.0.0.1", ["203.0.113.9"], "203.0.113.9", id="our proxy is believed"),
        pytest.param(None, ["203.0.113.9"], "203.0.113.9", id="so is a Unix socket"),
        pytest.param("198.51.100.7", ["203.0.113.9"], "198.51.100.7", id="strangers are not"),
        pytest.param("127.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9", id="the right-most"),
        pytest.param(
            "127.0.0.1", ["203.0.113.9", "10.0.0.1"], "203.0.113.9", id="hops of ours are skipped"
        ),
        pytest.param("127.0.0.1", ["nonsense"], None, id="unparsable is unknown"),
        pytest.param("127.0.0.1", [], None, id="silence is unknown"),
    ],
)
def test_address(peer: str | None, forwarded: list[str], expected: str | None) -> None:
    request = Request(
        {
            "type": "http",
            "client": peer and (peer, 1234),
            "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded],
        }
    )
    address = client_address_resolver(
        trusted_peers=NetworkSet((ip_network("127.0.0.1/32"),)),
        trusted_hops=NetworkSet((ip_network("10.0.0.0/8"),)),
    )
    assert address(request) == (None if expected is None else ip_address(expected))
