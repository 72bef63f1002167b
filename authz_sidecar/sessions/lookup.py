"""How a session is found: the record that a cookie opens, and whether it still stands.

The two are apart because a record never changes and may be kept near, while its standing is what
others can end at any moment. Writes nothing; says what it looks at before it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from authz_sidecar.core.types import SessionKind
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cookie import is_token

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.keys import Naming
    from authz_sidecar.sessions.record_sealing import Envelopes
    from authz_sidecar.sessions.records import Record, SessionSummary
    from authz_sidecar.sessions.store import Reads

Before = Callable[[Iterable[str]], None]
"""Is told the names whose keys (`az:s:`, `az:r:`) decide, before any of them is read."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """`last_use` is a sign-in's own, as stored; a child has none."""

    record: Record
    last_use: bytes | None


def unwatched(_: Iterable[str]) -> None:
    """For those who keep nothing."""


class Finder:
    __slots__ = ("_envelopes", "_naming", "_store")

    def __init__(self, store: Reads, naming: Naming, envelopes: Envelopes) -> None:
        self._store = store
        self._naming = naming
        self._envelopes = envelopes

    async def fetch(self, token: str, *, before: Before = unwatched) -> Fetched | None:
        """The record this cookie opens. One round trip."""
        if not is_token(token):
            return None
        handles = self._naming.handles(token)
        before(handles)
        values = await self._store.read(
            *(
                key(handle)
                for handle in handles
                for key in (keys.session_key, keys.last_use_key, keys.ended_key)
            )
        )
        for at, handle in enumerate(handles):
            sealed, last_use, ended = values[3 * at : 3 * at + 3]
            if sealed is None or ended is not None:
                continue
            record = self._envelopes.open_record(sealed, token=token, handle=handle)
            return None if record is None else Fetched(record, last_use)
        return None

    async def standing(self, fetched: Fetched, *, before: Before = unwatched) -> float | None:
        """When the session was last used; None when it was ended or revoked, or its parent was.
        One round trip."""
        session = fetched.record.session
        subjects = self._naming.subjects(session.identity, session.provider_session)
        names = [name for subject in subjects for name in subject.names]
        before(names)
        marks = map(keys.ended_key, names)
        if session.parent is not None:
            before((session.parent,))
        if session.parent is None:
            last_use, ended, *standing = (fetched.last_use, None, *await self._store.read(*marks))
        else:
            last_use, ended, *standing = await self._store.read(
                keys.last_use_key(session.parent), keys.ended_key(session.parent), *marks
            )
        risen = {mark for mark in standing if mark is not None} - fetched.record.seen
        return None if ended is not None or risen else read_time(last_use)


def idle_after(of: Session | SessionSummary, idle_timeout: float) -> float:
    """Seconds without a use after which it is over. A machine that comes once a quarter is no less
    itself: what was made for one ends when it was said to."""
    return inf if of.kind is SessionKind.SERVICE_ACCOUNT else idle_timeout


def is_alive(
    of: Session | SessionSummary, last_use: float, *, now: float, idle_timeout: float
) -> bool:
    return now < of.expires_at and now - last_use < idle_after(of, idle_timeout)


def read_time(value: bytes | None) -> float | None:
    """Seconds, from the milliseconds in which last use is stored."""
    return int(value) / 1000 if value is not None and value.isdigit() else None


def write_time(now: float) -> bytes:
    return b"%d" % (now * 1000)
