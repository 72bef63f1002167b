"""Sessions, as the gate and the sign-in use them: born, found, listed and ended.

Decides what must be written before what, so that a session is always listed while it lives and
dead once it was revoked, whoever else writes at the same moment. Knows nothing of HTTP or Redis.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.errors import LoginRefused
from authz_sidecar.sessions.cookie import new_token
from authz_sidecar.sessions.keys import Naming, Subject
from authz_sidecar.sessions.lookup import Fetched, Finder, is_alive, write_time
from authz_sidecar.sessions.one_time import Notes
from authz_sidecar.sessions.queries import Member, Reader
from authz_sidecar.sessions.record_sealing import Envelopes
from authz_sidecar.sessions.records import ProviderTokens, Record, SessionSummary
from authz_sidecar.sessions.refresh_vault import Renewal, first_vault
from authz_sidecar.sessions.writer import Writer, summary_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.store import SessionStore

RECENT_SECONDS = 300.0
"""Longer than any exchange with a provider takes."""

# A watermark must outlive every session it ends, also those born under a longer lifetime that a
# new configuration has shortened since.
_WATERMARK_SECONDS = 32 * 86400.0
_REVOKED = "You were signed out while signing in. Please sign in again."


class Sessions:
    """All methods raise `StoreUnavailable` when the store cannot answer. `machines` are the names that
    the users of programs begin with: nobody who signs in is called like one of them."""

    def __init__(
        self,
        *,
        store: SessionStore,
        secret_keys: SecretKeys,
        lifetime: float,
        idle_timeout: float,
        machines: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._lifetime = lifetime
        self._idle_timeout = idle_timeout
        self._machines = machines
        self._clock = clock
        self._random = random
        self._naming = Naming(secret_keys)
        self._envelopes = Envelopes(secret_keys)
        self._finder = Finder(store, self._naming, self._envelopes)
        self._reader = Reader(store, self._naming, self._envelopes)
        self._writer = Writer(store, self._naming, self._envelopes)
        self.renewal = Renewal(store, self._naming, self._envelopes, random=random)
        self.notes = Notes(store, self._naming, self._envelopes, random=random)

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
        since: frozenset[str] | None = None,
        parent_token: str | None = None,
        kind: SessionKind | None = None,
        routes: tuple[str, ...] = (),
    ) -> tuple[str, Session]:
        """A new session under a new id: the cookie's value, and the session.

        With a `parent` it is that sign-in's child on another host: it shares the parent's
        provider session and ends with it at the latest. Raises `LoginRefused` when the user was
        signed out, or the parent ended, in the meantime: since `revocations` gave `since`; and when
        the user is called like a program. With the parent's cookie too, the child takes part in its
        refreshes. `kind` says what it is where that is neither a sign-in nor a host's child;
        `routes` confine it to those of these names.
        """
        name, slash, _ = identity.subject.partition("/")
        if slash and name in self._machines and not identity.machine:
            raise LoginRefused(f"a user whose name begins with `{name}/`, as those of programs do")
        now = self._clock()
        token = new_token(self._random)
        expires_at = now + (self._lifetime if lifetime is None else lifetime)
        if parent is not None:
            _check_parent(parent, identity)
            provider_session = parent.provider_session
            expires_at = min(expires_at, parent.expires_at)
        subjects = self._naming.subjects(identity, provider_session)
        vault = first_vault(tokens, identity, now=now) if parent is None else None
        key, refresh_at = "", None
        if vault is not None:
            key, refresh_at = new_token(self._random), vault.refresh_at
        if parent is not None and parent_token is not None:
            key, refresh_at = await self.renewal.key_of(parent_token), parent.refresh_at
        record = Record(
            session=Session(
                handle=self._naming.handles(token)[0],
                kind=kind or (SessionKind.SIGN_IN if parent is None else SessionKind.CHILD),
                scope=scope,
                identity=identity,
                created_at=now,
                expires_at=expires_at,
                provider_session=provider_session,
                parent=None if parent is None else parent.handle,
                refresh_at=refresh_at if key else None,
                routes=routes,
            ),
            vault=key,
            seen=await self._seen(subjects, parent, now=now)
            - await self._risen(identity.provider, since, now=now),
        )
        session = record.session
        await self._writer.index(subjects, session)
        await self._writer.store(
            record,
            tokens,
            token=token,
            summary=summary_of(session, client=client, user_agent=user_agent),
            idle_timeout=self._idle_timeout,
            vault=vault,
        )
        # A revocation since `_seen` may have read the indexes before this session was in them.
        if await self._finder.standing(Fetched(record, write_time(now))) is None:
            await self._writer.erase((Member.of(session),), subjects, ())
            raise LoginRefused("revoked while signing in", public=_REVOKED)
        return token, session

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """The living session of this cookie, for this scope and provider. Counts as its use."""
        fetched = await self._finder.fetch(token)
        if fetched is None:
            return None
        session, now = fetched.record.session, self._clock()
        if session.scope != scope or session.identity.provider != provider:
            return None
        last_use = await self._finder.standing(fetched)
        if last_use is None or not self._is_alive(session, last_use, now=now):
            return None
        if now - last_use < self._idle_timeout / 10:
            return session
        touched = await self._writer.touch(session, now=now, idle_timeout=self._idle_timeout)
        return session if touched else None

    async def end(self, session: Session) -> None:
        """A sign-in with all its children; a child alone."""
        await self._store.confirmed(lambda: self._end(session))

    async def _end(self, session: Session) -> None:
        now = self._clock()
        await self._writer.mark_ended(session, now=now)
        subjects = self._naming.subjects(session.identity, session.provider_session)
        members = await self._reader.members(subjects[0], now=now)
        children = (member for member in members if member.parent == session.handle)
        await self._writer.erase((Member.of(session), *children), subjects, ())

    async def end_user(self, *, provider: str, issuer: str, subject: str) -> int:
        """End every session of a user; how many there were."""
        return await self._revoke(self._naming.user(provider, issuer, subject), provider)

    async def end_account(self, *, provider: str, issuer: str, sub: str) -> int:
        """The same for the user whom the provider calls `sub`, where we go by another claim."""
        return await self._revoke(self._naming.account(provider, issuer, sub), provider)

    async def end_provider_session(
        self, *, provider: str, issuer: str, sid: str, known_only: bool = False
    ) -> int:
        """End every session that came of one session at the provider; how many there were.

        `known_only` writes nothing where there is none, which is for callers whom anybody can be.
        """
        subject = self._naming.provider_session(provider, issuer, sid)
        return await self._revoke(subject, provider, known_only=known_only)

    async def end_listed(self, summary: SessionSummary) -> None:
        """End a session that was found in a list, as `end` does."""
        identity = Identity(
            provider=summary.provider, issuer=summary.issuer, subject=summary.subject
        )
        await self.end(
            Session(
                handle=summary.handle,
                kind=summary.kind,
                scope=summary.scope,
                identity=identity,
                created_at=summary.created_at,
                expires_at=summary.expires_at,
                provider_session=summary.provider_session,
                parent=summary.parent,
            )
        )

    async def listed(self, handle: str) -> SessionSummary | None:
        """What lists show of the living session of this handle."""
        member, now = Member(handle), self._clock()
        for listing, last_use in await self._reader.standing_listings((member,)):
            if self._is_alive(listing.summary, last_use, now=now):
                return replace(listing.summary, last_used_at=last_use)
        return None

    async def revocations(self, provider: str) -> frozenset[str]:
        """What to give to `create` as `since`: asked before the provider says who signs in, so that
        a sign-out in between is noticed, whoever's it is."""
        [recent] = await self._store.indexed(self._naming.revocations(provider), now=self._clock())
        return frozenset(recent)

    async def tokens(self, token: str) -> ProviderTokens | None:
        """The provider's tokens of a sign-in, for refresh and logout."""
        return await self._reader.tokens(token)

    async def of_user(
        self, *, provider: str, issuer: str, subject: str
    ) -> tuple[SessionSummary, ...]:
        """The living sessions of a user, the newest first."""
        return await self._living(self._naming.user(provider, issuer, subject))

    async def of_provider_session(
        self, *, provider: str, issuer: str, sid: str
    ) -> tuple[SessionSummary, ...]:
        """The living sessions that came of one session at the provider, the newest first."""
        return await self._living(self._naming.provider_session(provider, issuer, sid))

    async def _living(self, subject: Subject) -> tuple[SessionSummary, ...]:
        now = self._clock()
        members = await self._reader.members(subject, now=now)
        living = [
            replace(listing.summary, last_used_at=last_use)
            for listing, last_use in await self._reader.standing_listings(members)
            if self._is_alive(listing.summary, last_use, now=now)
        ]
        return tuple(sorted(living, key=lambda summary: -summary.created_at))

    async def ready(self) -> None:
        await self._store.ready()

    async def aclose(self) -> None:
        await self._store.aclose()

    async def _seen(
        self, subjects: tuple[Subject, ...], parent: Session | None, *, now: float
    ) -> frozenset[bytes]:
        """The watermarks that a new session has nothing to fear from."""
        if parent is None:
            return await self._reader.watermarks(subjects)
        # A child inherits its parent's: what was revoked since then is revoked for both.
        for listing, last_use in await self._reader.standing_listings((Member.of(parent),)):
            if self._is_alive(parent, last_use, now=now):
                return listing.seen
        raise LoginRefused("the sign-in has ended in the meantime", public=_REVOKED)

    def _is_alive(self, of: Session | SessionSummary, last_use: float, *, now: float) -> bool:
        return is_alive(of, last_use, now=now, idle_timeout=self._idle_timeout)

    async def _risen(
        self, provider: str, since: frozenset[str] | None, *, now: float
    ) -> frozenset[bytes]:
        """The watermarks of this provider that were set since then, whosever they are."""
        if since is None:
            return frozenset()
        [recent] = await self._store.indexed(self._naming.revocations(provider), now=now)
        return frozenset(bytes.fromhex(mark) for mark in recent if mark not in since)

    async def _revoke(self, subject: Subject, provider: str, *, known_only: bool = False) -> int:
        return await self._store.confirmed(
            lambda: self._revoke_once(subject, provider, known_only=known_only)
        )

    async def _revoke_once(self, subject: Subject, provider: str, *, known_only: bool) -> int:
        if known_only and not await self._reader.members(subject, now=self._clock()):
            return 0
        mark, ttl = self._random(8), max(self._lifetime, _WATERMARK_SECONDS)
        now = self._clock()
        # Before the watermark: whoever reads that one, and this list after it, finds it here too.
        await self._store.index(
            self._naming.revocations(provider),
            mark.hex(),
            expires_at=now + RECENT_SECONDS,
            now=now,
        )
        await self._writer.mark_revoked(subject, mark, ttl=ttl)
        members = await self._reader.members(subject, now=self._clock())
        listings = await self._reader.listings(members)
        await self._writer.erase(members, (subject,), listings)
        return len(listings)


def _check_parent(parent: Session, identity: Identity) -> None:
    def user(of: Identity) -> tuple[str, str, str]:
        return of.provider, of.issuer, of.subject

    if parent.kind is not SessionKind.SIGN_IN or user(parent.identity) != user(identity):
        raise ValueError("a child needs a sign-in of the same user as its parent")
