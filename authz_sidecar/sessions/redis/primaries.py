"""Which servers are the primaries of one Redis, as new connections find them. Pure.

An address may lead to another server while connections to the former one live on. So every new
connection reports which server it has reached, and the report of the newest one is believed.

- A *term* ends when a report, an answer or a silence says that the primary may be another server.
  Its connections are aborted at that moment, so no answer of a former primary arrives afterwards.
- Within a term, an *epoch* begins when changes are tracked at every primary. It uses only
  connections that were made within it, each of them to a server at which changes are tracked.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SENTINELS_ADDRESS = "the Sentinels"
"""Stands for an address: which primary the Sentinels name is a report like any other."""


class OutdatedReportError(Exception):
    """A report that newer ones have overtaken."""


class Abortable(Protocol):
    def abort(self) -> None:
        """Close the connection at once; a read or write under way fails."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectionAttempt:
    """The beginning of a connection attempt; `number` gives their order."""

    number: int
    term: int


@dataclass(frozen=True, slots=True)
class _Report:
    identity: str
    number: int


class PrimaryRegistry:
    """The terms and epochs of one Redis. `generation` rises with every `term` and every epoch; a
    connection of an earlier generation is not used again. `identified` says whether connections ask
    for the `run_id` of their server; where each is used once, they need not."""

    def __init__(self, *, identified: bool = True) -> None:
        self.identified = identified
        self.term = 0
        self.generation = 0
        self._dials = itertools.count(1)
        self._reports: dict[str, _Report] = {}
        self._tracked: frozenset[str] | None = None
        self._connections: WeakSet[Abortable] = WeakSet()
        self._subscribers: list[Callable[[str], None]] = []

    @property
    def any_known(self) -> bool:
        """Whether any server was reported in this term."""
        return bool(self._reports)

    def begin_attempt(self) -> ConnectionAttempt:
        """The number of a connection attempt, to be taken before it begins."""
        return ConnectionAttempt(next(self._dials), self.term)

    def report(self, dial: ConnectionAttempt, address: str, identity: str) -> int:
        """The generation of a connection that has reached this server at this address. Ends the
        term if another server was there before, or if an epoch is on that does not know the
        address. Raises `OutdatedReportError` if the connection began before a newer one that has
        reached another server, or before the term."""
        known = self._reports.get(address)
        if known is not None and known.identity == identity:
            number = max(known.number, dial.number)
        elif dial.term != self.term or (known is not None and dial.number < known.number):
            raise OutdatedReportError
        else:
            number = dial.number
            if known is not None:
                self.end_term("another server answers at its address")
            elif self._tracked is not None:
                self.end_term("a primary answers at which changes are not tracked")
        self._reports[address] = _Report(identity, number)
        return self.generation

    def register(self, connection: Abortable) -> None:
        """Have a connection aborted when the term ends."""
        self._connections.add(connection)

    def unregister(self, connection: Abortable) -> None:
        self._connections.discard(connection)

    def report_replica(self, address: str) -> None:
        """Note that a replica answers at this address; ends the term if a primary did before."""
        if address in self._reports:
            self.end_term("it has become a replica")

    def end_term(self, reason: str) -> None:
        """End the term: abort its connections, forget its reports, and tell the subscribers."""
        self.term += 1
        self._reports.clear()
        connections, self._connections = tuple(self._connections), WeakSet()
        for connection in connections:
            connection.abort()
        self.end_epoch(reason)

    def end_epoch(self, reason: str) -> None:
        """End the epoch alone: connections finish what they are used for, and are not used again.
        For clusters, whose servers themselves refuse keys that they do not hold."""
        self.generation += 1
        self._tracked = None
        for subscriber in tuple(self._subscribers):
            subscriber(reason)

    def begin_epoch(self, generation: int, addresses: Collection[str]) -> None:
        """Begin an epoch, in which changes are tracked at these addresses, on connections of this
        generation. Raises `OutdatedReportError` if that is not the current one."""
        if generation != self.generation or not self._reports.keys() >= set(addresses):
            raise OutdatedReportError
        listened = frozenset(addresses)
        if self._tracked not in (None, listened):
            self.end_term("its primaries have changed")
            raise OutdatedReportError
        self._reports = {
            address: report
            for address, report in self._reports.items()
            if address in listened or address == SENTINELS_ADDRESS
        }
        self._tracked = listened
        self.generation += 1

    def subscribe(self, subscriber: Callable[[str], None]) -> None:
        """Have it called with the reason, synchronously, whenever an epoch or a term ends."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Callable[[str], None]) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
