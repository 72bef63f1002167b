"""Record tables for the criterion `record`, in memory. The caller reads them from files or Redis."""

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
    """Records by network; the longest matching prefix wins.

    Raises `ValueError` for a key that is not a network.
    """

    __slots__ = ("_lengths",)

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._lengths = _by_length(records)

    def find(self, address: Address) -> Record | None:
        """Returns the record of the longest prefix that holds the address, or None."""
        value = int(address)
        for version, host_bits, records in self._lengths:
            if (
                version == address.version
                and (record := records.get(value >> host_bits)) is not None
            ):
                return record
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTables:
    """Loaded tables by name. Each value returns the table as it is now, without blocking or
    failing, or None when it could not be loaded."""

    by_user: Mapping[str, Callable[[], Users | None]]
    by_address: Mapping[str, Callable[[], NetworkRecords | None]]

    def has_table(self, table: str, *, by: str) -> bool:
        """Whether there is a table of this name, looked up by `user` or by `address`."""
        return table in (self.by_user if by == "user" else self.by_address)

    def users(self, table: str) -> Users | None:
        """Returns a table by user; None when unknown or not loaded."""
        current = self.by_user.get(table)
        return None if current is None else current()

    def networks(self, table: str) -> NetworkRecords | None:
        """Returns a table by network; None when unknown or not loaded."""
        current = self.by_address.get(table)
        return None if current is None else current()


def build_table(records: Mapping[str, Record], *, by: str) -> Users | NetworkRecords:
    """Returns the records in the form for look-ups by `user` or by `address`. Raises `ValueError`
    for a key that is not a network."""
    return records if by == "user" else NetworkRecords(records)


def static_tables(
    *, users: Mapping[str, Users], networks: Mapping[str, Mapping[str, Record]]
) -> RecordTables:
    """Returns tables that do not change. Raises `ValueError` for a key that is not a network."""
    return RecordTables(
        by_user={name: constantly(table) for name, table in users.items()},
        by_address={name: constantly(NetworkRecords(table)) for name, table in networks.items()},
    )


def constantly(table: T) -> Callable[[], T]:
    """Returns a function that always returns `table`."""
    return lambda: table


Lengths = tuple[tuple[int, int, dict[int, "Record"]], ...]
"""(IP version, number of host bits, records by the network bits), longest prefix first."""


def _by_length(entries: Mapping[str, Record]) -> Lengths:
    by_length: dict[tuple[int, int], dict[int, Record]] = {}
    for text, record in entries.items():
        network = parse_network(text)
        host_bits = network.max_prefixlen - network.prefixlen
        bits = int(network.network_address) >> host_bits
        by_length.setdefault((network.version, host_bits), {})[bits] = record
    return tuple(
        (version, host_bits, by_length[version, host_bits])
        for version, host_bits in sorted(by_length)
    )
