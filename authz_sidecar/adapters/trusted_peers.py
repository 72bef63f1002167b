"""The trusted networks: peers that may send subrequests, and hops that are skipped in
`X-Forwarded-For`.

A peer is judged by the address of its socket, never by a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """A set of IPv4 and IPv6 networks."""

    networks: tuple[Network, ...] = ()

    def contains(self, address: Address) -> bool:
        """Whether the address is in one of the networks; an IPv4-mapped IPv6 address counts as
        IPv4."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(_contains(network, address) for network in self.networks)


NO_NETWORKS = NetworkSet()


def _contains(network: Network, address: Address) -> bool:
    match network, address:
        case (IPv4Network(), IPv4Address()) | (IPv6Network(), IPv6Address()):
            return address in network
        case _:
            return False


def is_trusted(peer: Address | None, *, trusted: NetworkSet) -> bool:
    """Whether a peer may send subrequests. `peer` is None on a Unix socket, where file permissions
    decide."""
    return peer is None or trusted.contains(peer)
