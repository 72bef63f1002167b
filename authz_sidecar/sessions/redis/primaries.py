"""The registry of a Redis's primaries, as new connections identify them. Pure.

An address may lead to another server while connections to the former one stay open. So every new
connection reports the server that it has reached, and the report of the newest connection wins.

- A *term* ends when a report, a response or a timeout shows that the primary may have changed. Its
  connections are aborted at that moment, so that no response of a former primary arrives later.
- Within a term, an *epoch* begins when changes are tracked at every primary. It uses only
  connections that were made within it, each to a server at which changes are tracked.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SENTINELS_ADDRESS = "the Sentinels"
"""The pseudo-address under which the primary that the Sentinels name is reported."""


class OutdatedReportError(Exception):
    """The report is older than the state of the registry."""


class Abortable(Protocol):
    """A connection that can be aborted."""

    def abort(self) -> None:
        """Close the connection at once; a pending read or write fails."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectionAttempt:
    """The start of a connection attempt.

    `number`: rises with every attempt.
    `term`: the term in which it started.
    """

    number: int
    term: int


@dataclass(frozen=True, slots=True)
class _Report:
    identity: str
    number: int


class PrimaryRegistry:
    """The terms and epochs of one Redis.

    `generation`: rises with every term and epoch; a connection of an earlier one is not used again.
    `identified`: whether connections ask for the `run_id` of their server, which those that are
        used only once do not need.
    """

    def __init__(self, *, identified: bool = True) -> None:
        self.identified = identified
        self.term = 0
        self.generation = 0
        self._attempt_numbers = itertools.count(1)
        self._reports: dict[str, _Report] = {}
        self._tracked: frozenset[str] | None = None
        self._connections: WeakSet[Abortable] = WeakSet()
        self._subscribers: list[Callable[[str], None]] = []

    @property
    def any_known(self) -> bool:
        """Whether any server was reported in this term."""
        return bool(self._reports)

    def begin_attempt(self) -> ConnectionAttempt:
        """A numbered connection attempt, to be taken before connecting."""
        return ConnectionAttempt(next(self._attempt_numbers), self.term)

    def report(self, attempt: ConnectionAttempt, address: str, identity: str) -> int:
        """The generation of a connection that reached the server `identity` at `address`.

        Ends the term when another server was there before, or when an epoch does not include the
        address. Raises `OutdatedReportError` when the connection attempt started before a newer
        one that reached another server, or before the term.
        """
        previous = self._reports.get(address)
        if previous is not None and previous.identity == identity:
            number = max(previous.number, attempt.number)
        elif attempt.term != self.term or (
            previous is not None and attempt.number < previous.number
        ):
            raise OutdatedReportError
        else:
            number = attempt.number
            if previous is not None:
                self.end_term("another server answers at its address")
            elif self._tracked is not None:
                self.end_term("a primary answers at which changes are not tracked")
        self._reports[address] = _Report(identity, number)
        return self.generation

    def register(self, connection: Abortable) -> None:
        """Add a connection, which is aborted when the term ends."""
        self._connections.add(connection)

    def unregister(self, connection: Abortable) -> None:
        """Remove a connection."""
        self._connections.discard(connection)

    def report_replica(self, address: str) -> None:
        """Record that a replica answers at an address; ends the term when a primary did before."""
        if address in self._reports:
            self.end_term("it has become a replica")

    def end_term(self, reason: str) -> None:
        """End the term: abort its connections, forget its reports, and call the subscribers."""
        self.term += 1
        self._reports.clear()
        connections, self._connections = tuple(self._connections), WeakSet()
        for connection in connections:
            connection.abort()
        self.end_epoch(reason)

    def end_epoch(self, reason: str) -> None:
        """End the epoch alone: connections finish their command and are not used again. Enough for
        a cluster, whose servers refuse commands for keys that they do not hold."""
        self.generation += 1
        self._tracked = None
        for subscriber in tuple(self._subscribers):
            subscriber(reason)

    def begin_epoch(self, generation: int, addresses: Collection[str]) -> None:
        """Begin an epoch, in which changes are tracked at these addresses on connections of this
        generation. Raises `OutdatedReportError` when the generation has ended or an address was
        not reported."""
        if generation != self.generation or not self._reports.keys() >= set(addresses):
            raise OutdatedReportError
        tracked = frozenset(addresses)
        if self._tracked not in (None, tracked):
            self.end_term("its primaries have changed")
            raise OutdatedReportError
        self._reports = {
            address: report
            for address, report in self._reports.items()
            if address in tracked or address == SENTINELS_ADDRESS
        }
        self._tracked = tracked
        self.generation += 1

    def subscribe(self, subscriber: Callable[[str], None]) -> None:
        """Call `subscriber` with the reason, synchronously, whenever an epoch or a term ends."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Callable[[str], None]) -> None:
        """Stop calling a subscriber."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
