"""How a session is found: the record that a cookie opens, and whether it still stands.

The two are apart because a record never changes and may be kept near, while its standing is what
others can end at any moment. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cookie import is_token

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.envelopes import Envelopes
    from authz_sidecar.sessions.keys import Naming, Subject
    from authz_sidecar.sessions.records import Listing, ProviderTokens, Record
    from authz_sidecar.sessions.store import SessionStore


@dataclass(frozen=True, slots=True)
class Member:
    """How an index names a session: its handle, and its parent's if it is a child."""

    handle: str
    parent: str | None = None

    def __str__(self) -> str:
        return self.handle if self.parent is None else f"{self.handle}:{self.parent}"

    @classmethod
    def of(cls, session: Session) -> Member:
        return cls(session.handle, session.parent)

    @classmethod
    def parse(cls, text: str) -> Member:
        handle, _, parent = text.partition(":")
        return cls(handle, parent or None)

    @property
    def keeper(self) -> str:
        """The session whose last use keeps this one alive."""
        return self.parent or self.handle


@dataclass(frozen=True, slots=True)
class Fetched:
    """`last_use` is a sign-in's own, as stored; a child has none."""

    record: Record
    last_use: bytes | None


class Reader:
    __slots__ = ("_envelopes", "_naming", "_store")

    def __init__(self, store: SessionStore, naming: Naming, envelopes: Envelopes) -> None:
        self._store = store
        self._naming = naming
        self._envelopes = envelopes

    async def fetch(self, token: str) -> Fetched | None:
        """The record this cookie opens. One round trip."""
        if not is_token(token):
            return None
        handles = self._naming.handles(token)
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

    async def standing(self, fetched: Fetched) -> float | None:
        """When the session was last used; None when it was ended or revoked, or its parent was.
        One round trip."""
        session = fetched.record.session
        subjects = self._naming.subjects(session.identity, session.provider_session)
        marks = [mark for subject in subjects for mark in subject.watermarks]
        if session.parent is None:
            last_use, ended, *standing = (fetched.last_use, None, *await self._store.read(*marks))
        else:
            last_use, ended, *standing = await self._store.read(
                keys.last_use_key(session.parent), keys.ended_key(session.parent), *marks
            )
        risen = {mark for mark in standing if mark is not None} - fetched.record.seen
        return None if ended is not None or risen else read_time(last_use)

    async def watermarks(self, subjects: tuple[Subject, ...]) -> frozenset[bytes]:
        marks = await self._store.read(
            *(mark for subject in subjects for mark in subject.watermarks)
        )
        return frozenset(mark for mark in marks if mark is not None)

    async def tokens(self, token: str) -> ProviderTokens | None:
        if not is_token(token):
            return None
        handles = self._naming.handles(token)
        for sealed in await self._store.read(*map(keys.tokens_key, handles)):
            if sealed is not None:
                return self._envelopes.open_tokens(sealed, token=token)
        return None

    async def members(self, subject: Subject, *, now: float) -> tuple[Member, ...]:
        indexes = await self._store.indexed(*subject.indexes, now=now)
        names = dict.fromkeys(name for index in indexes for name in index)
        return tuple(map(Member.parse, names))

    async def listings(
        self, members: tuple[Member, ...]
    ) -> tuple[tuple[Listing, float | None], ...]:
        """What can be listed of these sessions, each with its last use; None when it has ended."""
        if not members:
            return ()
        values = await self._store.read(
            *(
                key
                for member in members
                for key in (
                    keys.listing_key(member.handle),
                    keys.ended_key(member.handle),
                    keys.ended_key(member.keeper),
                    keys.last_use_key(member.keeper),
                )
            )
        )
        found = []
        for at, member in enumerate(members):
            sealed, ended, keeper_ended, last_use = values[4 * at : 4 * at + 4]
            if sealed is None:
                continue
            listing = self._envelopes.open_listing(sealed, handle=member.handle)
            if listing is not None:
                stands = ended is None and keeper_ended is None
                found.append((listing, read_time(last_use) if stands else None))
        return tuple(found)


def read_time(value: bytes | None) -> float | None:
    """Seconds, from the milliseconds in which last use is stored."""
    return int(value) / 1000 if value is not None and value.isdigit() else None


def write_time(now: float) -> bytes:
    return b"%d" % (now * 1000)
