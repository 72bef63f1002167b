"""What is held in memory, and how much of it: sessions by their cookie, found again by every name
whose change ends them. Pure; decides what makes room, never what may be served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_sidecar.core.types import Session


_SESSION = 500  # the entry, its cookie, the session and the identity, and their places in tables
_NAME = 150  # one name under which the entry is found when something changes
_TEXT = 52
_LIST = 64
_MAPPING = 184
_PLACE = 8
_PAIR = 40  # of a mapping; its key is shared with everybody else's


def weight(session: Session, *, names: int) -> int:
    who = session.identity
    own = (session.provider_session, who.subject, who.email, who.name, who.amr, who.claims)
    # Groups are shared, as scope, provider and issuer are.
    shared = _LIST + _PLACE * len(who.groups)
    return _SESSION + _NAME * names + shared + _all(own)


def _of(value: object) -> int:
    if isinstance(value, str):
        return _TEXT + len(value)
    if isinstance(value, dict):
        return _MAPPING + _PAIR * len(value) + _all(value.values())
    if isinstance(value, list | tuple):
        return _LIST + _PLACE * len(value) + _all(value)
    return 0 if value is None or isinstance(value, bool) else 32


def _all(values: Iterable[object]) -> int:
    total = 0
    for value in values:
        total += _TEXT + len(value) if isinstance(value, str) else _of(value)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class NearLimits:
    """Of one worker."""

    entries: int = 100_000
    bytes: int = 128 << 20


class NearEntry:
    """A session as it was verified. `derived` is for whoever serves it: it dies with the entry."""

    __slots__ = (
        "_derived",
        "epoch",
        "last_use",
        "names",
        "place",
        "renew_at",
        "session",
        "token",
        "touching",
        "used",
        "verified_at",
        "weight",
    )

    def __init__(
        self,
        session: Session,
        *,
        token: str,
        names: tuple[str, ...],
        epoch: int,
        verified_at: float,
    ) -> None:
        self.session = session
        self.token = token
        self.names = names
        self.epoch = epoch
        self.verified_at = verified_at
        self.weight = weight(session, names=len(names))
        # Set by those who keep last use.
        self.last_use = self.renew_at = 0.0
        self.touching = False
        # Ours.
        self.used = False
        self.place = -1
        self._derived: dict[object, object] | None = None

    @property
    def derived(self) -> dict[object, object]:
        if self._derived is None:
            self._derived = {}
        return self._derived


class Fetching:
    """A fetch under way. `spoilt` when something that it looks at has changed meanwhile."""

    __slots__ = ("began", "epoch", "names", "spoilt")

    def __init__(self, *, epoch: int, began: float) -> None:
        self.epoch = epoch
        self.began = began
        self.names: list[str] = []
        self.spoilt = False


Concerned = NearEntry | Fetching


class Entries:
    """Bounded in number and weight. What was not used since the hand last came by goes first
    (the clock algorithm): a hit has nothing to move."""

    def __init__(self, limits: NearLimits) -> None:
        self._limits = limits
        self._by_token: dict[str, NearEntry] = {}
        self._ring: list[NearEntry] = []
        self._hand = 0
        # Nearly always there is one: a set for each name would be most of the memory.
        self._by_name: dict[str, Concerned | set[Concerned]] = {}
        self.weight = 0
        self.get = self._by_token.get

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[NearEntry]:
        return iter(self._ring)

    def watch(self, fetching: Fetching, names: Iterable[str]) -> None:
        for name in names:
            fetching.names.append(name)
            self._concern(name, fetching)

    def unwatch(self, fetching: Fetching) -> None:
        for name in fetching.names:
            self._unconcern(name, fetching)

    def concerned(self, name: str) -> tuple[Concerned, ...]:
        """Who must know that something of this name has changed."""
        held = self._by_name.get(name)
        if held is None:
            return ()
        return tuple(held) if isinstance(held, set) else (held,)

    def sharing(self, name: str) -> tuple[NearEntry, ...]:
        return tuple(each for each in self.concerned(name) if isinstance(each, NearEntry))

    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def put(self, entry: NearEntry) -> int:
        """How many others had to go."""
        self.drop(self._by_token.get(entry.token))
        evicted = 0
        if entry.weight <= self._limits.bytes and self._limits.entries:
            while self._ring and not self._room_for(entry):
                self._evict()
                evicted += 1
            self._insert(entry)
        return evicted

    def weigh(self, entry: NearEntry, more: int) -> None:
        """Derived data has come to an entry."""
        if entry.place >= 0:
            entry.weight += more
            self.weight += more
            while self.weight > self._limits.bytes:
                self._evict()

    def drop(self, entry: NearEntry | None) -> None:
        if entry is None or entry.place < 0:
            return
        last = self._ring.pop()
        if last is not entry:
            self._ring[entry.place] = last
            last.place = entry.place
        entry.place = -1
        del self._by_token[entry.token]
        self.weight -= entry.weight
        for name in entry.names:
            self._unconcern(name, entry)

    def clear(self) -> None:
        for entry in tuple(self._ring):
            self.drop(entry)

    def _insert(self, entry: NearEntry) -> None:
        self._by_token[entry.token] = entry
        entry.place = len(self._ring)
        self._ring.append(entry)
        self.weight += entry.weight
        for name in entry.names:
            self._concern(name, entry)

    def _room_for(self, entry: NearEntry) -> bool:
        limits = self._limits
        return len(self._ring) < limits.entries and self.weight + entry.weight <= limits.bytes

    def _evict(self) -> None:
        while True:
            if self._hand >= len(self._ring):
                self._hand = 0
            entry = self._ring[self._hand]
            if not entry.used:
                self.drop(entry)
                return
            entry.used = False
            self._hand += 1

    def _concern(self, name: str, who: Concerned) -> None:
        held = self._by_name.get(name)
        if held is None:
            self._by_name[name] = who
        elif isinstance(held, set):
            held.add(who)
        elif held is not who:
            self._by_name[name] = {held, who}

    def _unconcern(self, name: str, who: Concerned) -> None:
        held = self._by_name.get(name)
        if held is who:
            del self._by_name[name]
        elif isinstance(held, set):
            held.discard(who)
            if len(held) == 1:
                self._by_name[name] = held.pop()
