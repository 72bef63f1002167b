from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from authz_sidecar.adapters.trusted_peers import NO_NETWORKS, NetworkSet, is_trusted

TRUSTED = NetworkSet((ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"), ip_network("::1/128")))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        pytest.param("127.0.0.1", True, id="exact"),
        pytest.param("127.0.0.2", False, id="neighbour"),
        pytest.param("10.200.3.4", True, id="network"),
        pytest.param("11.0.0.1", False, id="outside"),
        pytest.param("::1", True, id="IPv6"),
        pytest.param("::2", False, id="IPv6 neighbour"),
        pytest.param("::ffff:10.0.0.1", True, id="mapped"),
        pytest.param("::ffff:11.0.0.1", False, id="mapped, outside"),
        pytest.param("::10.0.0.1", False, id="compatible form is another address"),
    ],
)
def test_peers(peer: str, *, expected: bool) -> None:
    assert is_trusted(ip_address(peer), trusted=TRUSTED) is expected


def test_a_unix_socket_is_trusted() -> None:
    assert is_trusted(None, trusted=NO_NETWORKS)


def test_nobody_is_trusted_by_default() -> None:
    assert not is_trusted(ip_address("127.0.0.1"), trusted=NO_NETWORKS)
