"""Which peers may ask, and which hops are skipped on the way to the client's address.

Judged on the address of the socket, once, and never on anything a header says.
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
    networks: tuple[Network, ...] = ()

    def contains(self, address: Address) -> bool:
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
    """`peer` is None on a Unix socket: there the file's permissions decided."""
    return peer is None or trusted.contains(peer)
