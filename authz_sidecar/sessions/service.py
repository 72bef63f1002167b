"""Sessions, as the gate and the sign-in use them: born, found, listed and ended.

Decides what must be written before what, so that a session is always listed while it lives and
dead once it was revoked, whoever else writes at the same moment. Knows nothing of HTTP or Redis.
"""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.errors import LoginRefused
from authz_sidecar.sessions import keys
from authz_sidecar.sessions.cookie import is_token
from authz_sidecar.sessions.envelopes import Envelopes
from authz_sidecar.sessions.keys import Naming, Subject
from authz_sidecar.sessions.reading import Fetched, Member, Reader, write_time
from authz_sidecar.sessions.records import Listing, ProviderTokens, Record, SessionSummary
from authz_sidecar.sessions.store import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.store import SessionStore

TICKET_SECONDS = 60.0

# A watermark must outlive every session it ends, also those born under a longer lifetime that a
# new configuration has shortened since.
_WATERMARK_SECONDS = 32 * 86400.0
# How far the clocks of two machines may be apart without a mark dying before what it ends.
_CLOCK_MARGIN = 300.0
_MAX_TEXT = 256
_REVOKED = "You were signed out while signing in. Please sign in again."


class Sessions:
    """All methods raise `StoreUnavailable` when the store cannot answer."""

    def __init__(
        self,
        *,
        store: SessionStore,
        secret_keys: SecretKeys,
        lifetime: float,
        idle_timeout: float,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._lifetime = lifetime
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._random = random
        self._naming = Naming(secret_keys)
        self._envelopes = Envelopes(secret_keys)
        self._reader = Reader(store, self._naming, self._envelopes)

    async def create(
        self,
        *,
        identity: Identity,
        scope: str,
        provider_session: str | None = None,
        tokens: ProviderTokens | None = None,
        client: str = "",
        user_agent: str = "",
        parent: Session | None = None,
        lifetime: float | None = None,
    ) -> tuple[str, Session]:
        """A new session under a new id: the cookie's value, and the session.

        With a `parent` it is that sign-in's child on another host: it shares the parent's
        provider session and ends with it at the latest. Raises `LoginRefused` when the user was
        signed out, or the parent ended, in the meantime.
        """
        now = self._clock()
        token = self._new_token()
        expires_at = now + (self._lifetime if lifetime is None else lifetime)
        if parent is not None:
            _check_parent(parent, identity)
            provider_session = parent.provider_session
            expires_at = min(expires_at, parent.expires_at)
        subjects = self._naming.subjects(identity, provider_session)
        record = Record(
            session=Session(
                handle=self._naming.handles(token)[0],
                kind=SessionKind.SIGN_IN if parent is None else SessionKind.CHILD,
                scope=scope,
                identity=identity,
                created_at=now,
                expires_at=expires_at,
                provider_session=provider_session,
                parent=None if parent is None else parent.handle,
            ),
            seen=await self._seen(subjects, parent),
        )
        session = record.session
        await self._index(subjects, session, now=now)
        await self._store.write(
            *self._entries(record, tokens, token=token, client=client, user_agent=user_agent)
        )
        # A revocation since `_seen` may have read the indexes before this session was in them.
        if await self._reader.standing(Fetched(record, write_time(now))) is None:
            await self._erase((Member.of(session),), subjects)
            raise LoginRefused("revoked while signing in", public=_REVOKED)
        return token, session

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """The living session of this cookie, for this scope and provider. Counts as its use."""
        fetched = await self._reader.fetch(token)
        if fetched is None:
            return None
        session, now = fetched.record.session, self._clock()
        if (
            session.scope != scope
            or session.identity.provider != provider
            or now >= session.expires_at
        ):
            return None
        last_use = await self._reader.standing(fetched)
        if last_use is None or now - last_use >= self._idle_timeout:
            return None
        return session if await self._touch(session, last_use=last_use, now=now) else None

    async def end(self, session: Session) -> None:
        """A sign-in with all its children; a child alone."""
        now = self._clock()
        ttl = max(0.0, session.expires_at - now) + _CLOCK_MARGIN
        await self._store.write(Entry(keys.ended_key(session.handle), b"1", ttl))
        identity = session.identity
        subjects = self._naming.subjects(identity, session.provider_session)
        members = await self._reader.members(subjects[0], now=now)
        children = (member for member in members if member.parent == session.handle)
        await self._erase((Member.of(session), *children), subjects)

    async def end_user(self, *, provider: str, issuer: str, subject: str) -> int:
        """End every session of a user; how many there were."""
        return await self._revoke(self._naming.user(provider, issuer, subject))

    async def end_provider_session(self, *, provider: str, issuer: str, sid: str) -> int:
        """End every session that came of one session at the provider; how many there were."""
        return await self._revoke(self._naming.provider_session(provider, issuer, sid))

    async def tokens(self, token: str) -> ProviderTokens | None:
        """The provider's tokens of a sign-in, for refresh and logout."""
        return await self._reader.tokens(token)

    async def of_user(
        self, *, provider: str, issuer: str, subject: str
    ) -> tuple[SessionSummary, ...]:
        """The living sessions of a user, the newest first."""
        now = self._clock()
        user = self._naming.user(provider, issuer, subject)
        marks = await self._reader.watermarks((user,))
        members = await self._reader.members(user, now=now)
        living = [
            replace(listing.summary, last_used_at=last_use)
            for listing, last_use in await self._reader.listings(members)
            if last_use is not None
            and now - last_use < self._idle_timeout
            and now < listing.summary.expires_at
            and marks <= listing.seen
        ]
        return tuple(sorted(living, key=lambda summary: -summary.created_at))

    async def put_ticket(self, payload: bytes, *, ttl: float = TICKET_SECONDS) -> str:
        """Keep something to be fetched once, by whoever brings the ticket."""
        ticket = self._new_token()
        sealed = self._envelopes.close_ticket(payload, ticket=ticket)
        await self._store.write(Entry(self._naming.tickets(ticket)[0], sealed, ttl))
        return ticket

    async def take_ticket(self, ticket: str) -> bytes | None:
        if not is_token(ticket):
            return None
        for key in self._naming.tickets(ticket):
            sealed = await self._store.take(key)
            if sealed is not None:
                return self._envelopes.open_ticket(sealed, ticket=ticket)
        return None

    async def remember_once(self, key: str, *, ttl: float) -> bool:
        """True the first time, until `ttl` seconds later."""
        # Under every secret, or replicas in the middle of a rotation would each have a first time;
        # in one order for all of them, so that of two callers at once one is told True.
        first = [
            await self._store.write_new(Entry(name, b"1", ttl))
            for name in sorted(self._naming.once(key))
        ]
        return all(first)

    async def count(self, key: str, *, window: float) -> int:
        """How often this was called for the key in its current window, this call included."""
        return await self._store.count(self._naming.counter(key), window=window)

    async def ready(self) -> None:
        await self._store.ready()

    async def aclose(self) -> None:
        await self._store.aclose()

    def _new_token(self) -> str:
        return base64.urlsafe_b64encode(self._random(32)).rstrip(b"=").decode("ascii")

    async def _seen(
        self, subjects: tuple[Subject, ...], parent: Session | None
    ) -> frozenset[bytes]:
        """The watermarks that a new session has nothing to fear from."""
        if parent is None:
            return await self._reader.watermarks(subjects)
        # A child inherits its parent's: what was revoked since then is revoked for both.
        found = await self._reader.listings((Member.of(parent),))
        if not found or found[0][1] is None:
            raise LoginRefused("the sign-in has ended in the meantime", public=_REVOKED)
        return found[0][0].seen

    async def _index(self, subjects: Iterable[Subject], session: Session, *, now: float) -> None:
        member = str(Member.of(session))
        for subject in subjects:
            await self._store.index(
                subject.indexes[0], member, expires_at=session.expires_at, now=now
            )

    def _entries(
        self,
        record: Record,
        tokens: ProviderTokens | None,
        *,
        token: str,
        client: str,
        user_agent: str,
    ) -> Iterable[Entry]:
        session, handle = record.session, record.session.handle
        ttl = session.expires_at - session.created_at
        listing = Listing(summary=_summary(session, client, user_agent), seen=record.seen)
        yield Entry(
            keys.session_key(handle), self._envelopes.close_record(record, token=token), ttl
        )
        yield Entry(keys.listing_key(handle), self._envelopes.close_listing(listing), ttl)
        if tokens is not None:
            sealed = self._envelopes.close_tokens(tokens, token=token)
            yield Entry(keys.tokens_key(handle), sealed, ttl)
        if session.parent is None:
            used = write_time(session.created_at)
            yield Entry(keys.last_use_key(handle), used, min(self._idle_timeout, ttl))

    async def _touch(self, session: Session, *, last_use: float, now: float) -> bool:
        """Note the use, at most once per tenth of the idle time-out; False when it ended."""
        if now - last_use < self._idle_timeout / 10:
            return True
        ttl = min(self._idle_timeout, session.expires_at - now)
        key = keys.last_use_key(session.parent or session.handle)
        return await self._store.rewrite(Entry(key, write_time(now), ttl))

    async def _revoke(self, subject: Subject) -> int:
        mark = self._random(8)
        ttl = max(self._lifetime, _WATERMARK_SECONDS) + _CLOCK_MARGIN
        for watermark in subject.watermarks:
            await self._store.write(Entry(watermark, mark, ttl))
        members = await self._reader.members(subject, now=self._clock())
        return await self._erase(members, (subject,))

    async def _erase(self, members: tuple[Member, ...], subjects: tuple[Subject, ...]) -> int:
        """Delete sessions and take them out of all indexes; how many there were."""
        indexes: dict[str, list[Member]] = {
            index: list(members) for subject in subjects for index in subject.indexes
        }
        listings = [listing for listing, _ in await self._reader.listings(members)]
        for listing in listings:
            for index in self._indexes_of(listing.summary):
                indexes.setdefault(index, []).append(
                    Member(listing.summary.handle, listing.summary.parent)
                )
        for member in members:
            await self._store.delete(
                keys.session_key(member.handle),
                keys.last_use_key(member.handle),
                keys.tokens_key(member.handle),
                keys.listing_key(member.handle),
            )
        # Members one by one, never the whole index: somebody may be signing in.
        for index, gone in indexes.items():
            if gone:
                await self._store.unindex(index, *map(str, gone))
        return len(listings)

    def _indexes_of(self, summary: SessionSummary) -> Iterable[str]:
        provider, issuer = summary.provider, summary.issuer
        yield from self._naming.user(provider, issuer, summary.subject).indexes
        if summary.provider_session is not None:
            sid = summary.provider_session
            yield from self._naming.provider_session(provider, issuer, sid).indexes


def _check_parent(parent: Session, identity: Identity) -> None:
    def user(of: Identity) -> tuple[str, str, str]:
        return of.provider, of.issuer, of.subject

    if parent.kind is not SessionKind.SIGN_IN or user(parent.identity) != user(identity):
        raise ValueError("a child needs a sign-in of the same user as its parent")


def _summary(session: Session, client: str, user_agent: str) -> SessionSummary:
    return SessionSummary(
        handle=session.handle,
        kind=session.kind,
        scope=session.scope,
        provider=session.identity.provider,
        issuer=session.identity.issuer,
        subject=session.identity.subject,
        created_at=session.created_at,
        expires_at=session.expires_at,
        last_used_at=session.created_at,
        client=client[:_MAX_TEXT],
        user_agent=user_agent[:_MAX_TEXT],
        provider_session=session.provider_session,
        parent=session.parent,
    )
