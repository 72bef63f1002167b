"""What became of every key of an imported configuration, so that none is lost in silence.

Decides nothing about any key: the tables and translators say, this keeps account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.core.source_locations import Place, Positions, Step

Path = tuple["Step", ...]


class Outcome(StrEnum):
    TRANSLATED = "translated"
    PROXY = "proxy work"
    NOT_NEEDED = "not needed"
    UNSUPPORTED = "not supported"


class Work(StrEnum):
    """The parts of a proxy's configuration that work is done in."""

    UPSTREAM = "upstream"
    REWRITE = "rewrite"
    ANSWER = "answer"
    REQUEST_HEADERS = "request headers"
    RESPONSE_HEADERS = "response headers"
    TIMEOUTS = "timeouts"
    UPGRADES = "upgrades"
    UPSTREAM_TLS = "upstream tls"
    LISTENER = "listener"
    CLIENT_CERTIFICATES = "client certificates"
    CLIENT_ADDRESS = "client address"
    LOGS = "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """`text` says where it went, why it is not needed, or what to do instead. `decisive`: who may
    pass, or whether anybody can, depends on something being done about it. `secret` values are
    never shown."""

    outcome: Outcome
    text: str
    work: Work | None = None
    decisive: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of the input. `value` is what may be shown of it."""

    path: Path
    place: Place
    handling: Handling
    value: object = None


BEARER = "name the issuers whose tokens count in `token_issuers`, and on the route those it takes"
"""What to do instead of whatever of Pomerium's is about bearer tokens."""


def translated(text: str, *, secret: bool = False, decisive: bool = False) -> Handling:
    return Handling(outcome=Outcome.TRANSLATED, text=text, secret=secret, decisive=decisive)


def proxy(work: Work, text: str, *, secret: bool = False, decisive: bool = False) -> Handling:
    return Handling(outcome=Outcome.PROXY, text=text, work=work, secret=secret, decisive=decisive)


def not_needed(why: str, *, secret: bool = False) -> Handling:
    return Handling(outcome=Outcome.NOT_NEEDED, text=why, secret=secret)


def unsupported(instead: str, *, decisive: bool = False, secret: bool = False) -> Handling:
    return Handling(outcome=Outcome.UNSUPPORTED, text=instead, decisive=decisive, secret=secret)


def every(names: str, handling: Handling) -> dict[str, Handling]:
    """The same for several keys, separated by spaces."""
    return dict.fromkeys(names.split(), handling)


@dataclass(slots=True)
class Ledger:
    """`remarks` are about no single key."""

    where: Positions
    entries: dict[Path, Entry] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def note(self, path: Path, handling: Handling, value: object = None) -> None:
        """What was said last about a key counts: tables speak first, translators after them."""
        shown = "(not shown)" if handling.secret and value else value
        self.entries[path] = Entry(
            path=path, place=self.where.at(*path), handling=handling, value=shown
        )

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    def of(self, outcome: Outcome) -> Iterator[Entry]:
        return (it for it in self.entries.values() if it.handling.outcome is outcome)

    @property
    def decisive(self) -> tuple[Entry, ...]:
        return tuple(it for it in self.entries.values() if it.handling.decisive)
