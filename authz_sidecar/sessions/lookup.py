"""Session lookup: the record that a cookie opens, and whether it is still valid.

The two are separate because a record never changes and may be cached, while a session can be ended
or revoked at any moment. Writes nothing; announces the keys it depends on before it reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from authz_sidecar.core.types import SessionKind
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cookie import is_well_formed_token

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.keys import KeyNames
    from authz_sidecar.sessions.record_sealing import RecordSealer
    from authz_sidecar.sessions.records import SessionRecord, SessionSummary
    from authz_sidecar.sessions.store import StoreReader

WatchKeys = Callable[[Iterable[str]], None]
"""Called with the names of the keys (`az:s:`, `az:r:`) that are about to be read."""


@dataclass(frozen=True, slots=True)
class FetchedSession:
    """A session record with its stored last use.

    `last_use`: of a sign-in, as `format_last_use` wrote it; None for a child, whose parent has it.
    """

    record: SessionRecord
    last_use: bytes | None


def watch_nothing(_: Iterable[str]) -> None:
    """A no-op watcher, for callers without a cache."""


class SessionLookup:
    """Reads session records from the store. All methods raise `StoreUnavailable` when the store
    fails."""

    __slots__ = ("_key_names", "_sealer", "_store")

    def __init__(self, store: StoreReader, key_names: KeyNames, sealer: RecordSealer) -> None:
        self._store = store
        self._key_names = key_names
        self._sealer = sealer

    async def fetch(
        self, token: str, *, watch_keys: WatchKeys = watch_nothing
    ) -> FetchedSession | None:
        """The session that this cookie value opens; None without one. One round trip."""
        if not is_well_formed_token(token):
            return None
        public_ids = self._key_names.public_ids(token)
        watch_keys(public_ids)
        values = await self._store.read(
            *(
                key(public_id)
                for public_id in public_ids
                for key in (keys.session_key, keys.last_use_key, keys.ended_key)
            )
        )
        for index, public_id in enumerate(public_ids):
            sealed, last_use, ended = values[3 * index : 3 * index + 3]
            if sealed is None or ended is not None:
                continue
            record = self._sealer.open_record(sealed, token=token, public_id=public_id)
            return None if record is None else FetchedSession(record, last_use)
        return None

    async def last_use_if_valid(
        self, fetched: FetchedSession, *, watch_keys: WatchKeys = watch_nothing
    ) -> float | None:
        """When the session was last used, in seconds since the epoch; None when it or its parent
        was ended or revoked. One round trip."""
        session = fetched.record.session
        owners = self._key_names.owners_of_identity(session.identity, session.provider_session)
        names = [name for owner in owners for name in owner.names]
        watch_keys(names)
        watermark_keys = map(keys.ended_key, names)
        if session.parent_id is not None:
            watch_keys((session.parent_id,))
        if session.parent_id is None:
            last_use, ended, *watermarks = (
                fetched.last_use,
                None,
                *await self._store.read(*watermark_keys),
            )
        else:
            last_use, ended, *watermarks = await self._store.read(
                keys.last_use_key(session.parent_id),
                keys.ended_key(session.parent_id),
                *watermark_keys,
            )
        new_watermarks = {
            watermark for watermark in watermarks if watermark is not None
        } - fetched.record.known_watermarks
        return None if ended is not None or new_watermarks else parse_last_use(last_use)


def effective_idle_timeout(session: Session | SessionSummary, idle_timeout: float) -> float:
    """Seconds without use after which the session ends; infinite for a service account, which may
    call once a quarter and ends at its expiry alone."""
    return inf if session.kind is SessionKind.SERVICE_ACCOUNT else idle_timeout


def is_active(
    session: Session | SessionSummary, last_use: float, *, now: float, idle_timeout: float
) -> bool:
    """Whether a valid session has neither expired nor been idle for too long. Times are in seconds
    since the epoch."""
    return now < session.expires_at and now - last_use < effective_idle_timeout(
        session, idle_timeout
    )


def parse_last_use(value: bytes | None) -> float | None:
    """A stored last use in seconds since the epoch; None unless it is a number of milliseconds."""
    return int(value) / 1000 if value is not None and value.isdigit() else None


def format_last_use(now: float) -> bytes:
    """The stored form of a last use: milliseconds since the epoch."""
    return b"%d" % (now * 1000)
