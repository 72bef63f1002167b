"""Addresses and networks: an IPv4-mapped IPv6 address counts as the IPv4 address."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address

Network = IPv4Network | IPv6Network

_MAPPED_BITS = 96  # RFC 4291 section 2.5.5.2: `::ffff:0:0/96` holds the IPv4 addresses


def unmap_ipv4(address: Address) -> Address:
    """Returns the IPv4 address of an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2); any other
    address as it is."""
    if isinstance(address, IPv6Address) and (ipv4 := address.ipv4_mapped) is not None:
        return ipv4
    return address


def parse_network(text: str) -> Network:
    """Parses an address or a network; bits beyond the prefix are dropped. Raises `ValueError`."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        ipv4 = network.network_address.ipv4_mapped
        if ipv4 is not None:
            return IPv4Network((ipv4, network.prefixlen - _MAPPED_BITS))
    return network
