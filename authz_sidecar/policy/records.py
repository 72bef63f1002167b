"""Tables for the criterion `record`, already in memory. Whoever reads files or Redis makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.core.networks import parse_network

if TYPE_CHECKING:
    from authz_sidecar.core.types import Address
    from authz_sidecar.policy.subject import Record

T = TypeVar("T")

Users = Mapping[str, "Record"]
"""Records by user."""


class NetworkRecords:
    """Records by network; the narrowest that holds an address counts.

    Raises `ValueError` for what is not a network.
    """

    __slots__ = ("_lengths",)

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._lengths = _by_length(records)

    def find(self, address: Address) -> Record | None:
        value = int(address)
        for version, hidden, records in self._lengths:
            if version == address.version and (found := records.get(value >> hidden)) is not None:
                return found
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTables:
    """By name, what tells a table as it is now: at once, without failing, None where nobody knows."""

    by_user: Mapping[str, Callable[[], Users | None]]
    by_address: Mapping[str, Callable[[], NetworkRecords | None]]

    def has_table(self, table: str, *, by: str) -> bool:
        """Whether there is such a table, looked up by `user` or by `address`."""
        return table in (self.by_user if by == "user" else self.by_address)

    def users(self, table: str) -> Users | None:
        now = self.by_user.get(table)
        return None if now is None else now()

    def networks(self, table: str) -> NetworkRecords | None:
        now = self.by_address.get(table)
        return None if now is None else now()


def build_table(records: Mapping[str, Record], *, by: str) -> Users | NetworkRecords:
    """As it is looked up in, by `user` or by `address`. Raises `ValueError` as `NetworkRecords`
    does."""
    return records if by == "user" else NetworkRecords(records)


def static_tables(
    *, users: Mapping[str, Users], networks: Mapping[str, Mapping[str, Record]]
) -> RecordTables:
    """Tables that stay what they are. Raises `ValueError` for what is not a network."""
    return RecordTables(
        by_user={name: constantly(table) for name, table in users.items()},
        by_address={name: constantly(NetworkRecords(table)) for name, table in networks.items()},
    )


def constantly(table: T) -> Callable[[], T]:
    return lambda: table


Lengths = tuple[tuple[int, int, dict[int, "Record"]], ...]
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
