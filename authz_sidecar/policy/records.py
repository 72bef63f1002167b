"""Tables for the criterion `record`, already in memory. Whoever reads files or Redis makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.policy.criteria.network import parse_network

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address

Record = Mapping[str, object]


class RecordTables:
    """Records by table and user, and by table and network (the narrowest that holds an address).

    Raises `ValueError` for what is not a network.
    """

    __slots__ = ("_networks", "_users")

    def __init__(
        self,
        *,
        users: Mapping[str, Mapping[str, Record]],
        networks: Mapping[str, Mapping[str, Record]],
    ) -> None:
        self._users = users
        self._networks = {table: _by_length(entries) for table, entries in networks.items()}

    def knows(self, table: str, *, by: str) -> bool:
        """Whether there is such a table, looked up by `user` or by `address`."""
        return table in (self._users if by == "user" else self._networks)

    def of_user(self, table: str, user: str) -> Record | None:
        return self._users.get(table, {}).get(user)

    def of_address(self, table: str, address: Address) -> Record | None:
        value = int(address)
        for version, hidden, records in self._networks.get(table, ()):
            if version == address.version and (found := records.get(value >> hidden)) is not None:
                return found
        return None


Lengths = tuple[tuple[int, int, dict[int, Record]], ...]
"""Per IP version and prefix length, longest first: records by the bits of the prefix."""


def _by_length(entries: Mapping[str, Record]) -> Lengths:
    by_length: dict[tuple[int, int], dict[int, Record]] = {}
    for text, record in entries.items():
        network = parse_network(text)
        hidden = network.max_prefixlen - network.prefixlen
        bits = int(network.network_address) >> hidden
        by_length.setdefault((network.version, hidden), {})[bits] = record
    return tuple(
        (version, hidden, by_length[version, hidden]) for version, hidden in sorted(by_length)
    )
