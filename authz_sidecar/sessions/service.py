"""The session service: creates, finds, lists, ends and revokes sessions.

Decides the order of writes, so that a session is listed for as long as it lives and does not
survive a concurrent revocation. Knows nothing of HTTP or Redis.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Identity, Session, SessionKind
from authz_sidecar.errors import LoginRefused
from authz_sidecar.sessions.cookie import generate_token
from authz_sidecar.sessions.keys import IndexOwner, KeyNames
from authz_sidecar.sessions.lookup import FetchedSession, SessionLookup, format_last_use, is_active
from authz_sidecar.sessions.one_time import OneTimeStore
from authz_sidecar.sessions.queries import IndexMember, SessionQueries
from authz_sidecar.sessions.record_sealing import RecordSealer
from authz_sidecar.sessions.records import ProviderTokens, SessionRecord, SessionSummary
from authz_sidecar.sessions.refresh_vault import RefreshCoordinator, initial_vault
from authz_sidecar.sessions.writer import SessionWriter, summarize

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.store import SessionStore

RECENT_REVOCATION_SECONDS = 300.0
"""How long a revocation counts as recent: longer than any sign-in waits for the provider."""

# A watermark must outlive every session it ends, also those created under a former configuration
# with a longer lifetime.
_WATERMARK_SECONDS = 32 * 86400.0
_REVOKED_MESSAGE = "You were signed out while signing in. Please sign in again."


class SessionService:
    """Sessions over a store. All methods that use the store raise `StoreUnavailable` when it
    fails.

    `lifetime`: seconds after which a session ends.
    `idle_timeout`: seconds without use after which a session ends.
    `reserved_namespaces`: the prefixes of service-account names, which no user may have.
    `clock`: the time of day, in seconds since the epoch.
    `random`: returns so many random bytes.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        secret_keys: SecretKeys,
        lifetime: float,
        idle_timeout: float,
        reserved_namespaces: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._lifetime = lifetime
        self._idle_timeout = idle_timeout
        self._reserved_namespaces = reserved_namespaces
        self._clock = clock
        self._random = random
        self._key_names = KeyNames(secret_keys)
        self._sealer = RecordSealer(secret_keys)
        self._lookup = SessionLookup(store, self._key_names, self._sealer)
        self._queries = SessionQueries(store, self._key_names, self._sealer)
        self._writer = SessionWriter(store, self._key_names, self._sealer)
        self.refresh = RefreshCoordinator(store, self._key_names, self._sealer, random=random)
        self.one_time = OneTimeStore(store, self._key_names, self._sealer, random=random)

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
        revocations_before: frozenset[str] | None = None,
        parent_token: str | None = None,
        kind: SessionKind | None = None,
        routes: tuple[str, ...] = (),
    ) -> tuple[str, Session]:
        """The cookie value of a new session under a new ID, and the session.

        `scope`: the origin or domain to which the session is sealed.
        `parent`: the sign-in of which it is a child on another host. The child shares the parent's
            provider session and ends with it at the latest.
        `parent_token`: the parent's cookie value, with which the child takes part in its refreshes.
        `lifetime`: seconds, instead of the configured lifetime.
        `revocations_before`: the result of `recent_revocations` from before the provider
            authenticated the user; a later revocation of the user refuses the session.
        `kind`: the kind where it is neither a sign-in nor a child.
        `routes`: the names of the routes to which the session is restricted.

        Raises `LoginRefused` when the user or the parent was signed out meanwhile, or when the
        user's name is reserved for service accounts; `ValueError` when the parent is not a sign-in
        of the same user; `StoreUnavailable` when the store fails.
        """
        name, slash, _ = identity.subject.partition("/")
        if slash and name in self._reserved_namespaces and not identity.is_service:
            raise LoginRefused(f"names that begin with `{name}/` are reserved for service accounts")
        now = self._clock()
        token = generate_token(self._random)
        expires_at = now + (self._lifetime if lifetime is None else lifetime)
        if parent is not None:
            _check_parent(parent, identity)
            provider_session = parent.provider_session
            expires_at = min(expires_at, parent.expires_at)
        owners = self._key_names.owners_of_identity(identity, provider_session)
        vault = initial_vault(tokens, identity, now=now) if parent is None else None
        vault_key, refresh_at = "", None
        if vault is not None:
            vault_key, refresh_at = generate_token(self._random), vault.refresh_at
        if parent is not None and parent_token is not None:
            vault_key, refresh_at = await self.refresh.vault_key_of(parent_token), parent.refresh_at
        record = SessionRecord(
            session=Session(
                public_id=self._key_names.public_ids(token)[0],
                kind=kind or (SessionKind.SIGN_IN if parent is None else SessionKind.CHILD),
                scope=scope,
                identity=identity,
                created_at=now,
                expires_at=expires_at,
                provider_session=provider_session,
                parent_id=None if parent is None else parent.public_id,
                refresh_at=refresh_at if vault_key else None,
                routes=routes,
            ),
            vault_key=vault_key,
            known_watermarks=await self._initial_watermarks(owners, parent, now=now)
            - await self._watermarks_since(identity.provider, revocations_before, now=now),
        )
        session = record.session
        await self._writer.add_to_indexes(owners, session)
        await self._writer.write_session(
            record,
            tokens,
            token=token,
            summary=summarize(session, client=client, user_agent=user_agent),
            idle_timeout=self._idle_timeout,
            vault=vault,
        )
        # A revocation since `_initial_watermarks` may have read the indexes before this session
        # was in them.
        if (
            await self._lookup.last_use_if_valid(FetchedSession(record, format_last_use(now)))
            is None
        ):
            await self._writer.erase((IndexMember.of(session),), owners, ())
            raise LoginRefused("revoked while signing in", public_message=_REVOKED_MESSAGE)
        return token, session

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        """The active session of a cookie value for this scope and provider; None without one.
        Counts as its use."""
        fetched = await self._lookup.fetch(token)
        if fetched is None:
            return None
        session, now = fetched.record.session, self._clock()
        if session.scope != scope or session.identity.provider != provider:
            return None
        last_use = await self._lookup.last_use_if_valid(fetched)
        if last_use is None or not self._is_active(session, last_use, now=now):
            return None
        if now - last_use < self._idle_timeout / 10:
            return session
        is_touched = await self._writer.touch(session, now=now, idle_timeout=self._idle_timeout)
        return session if is_touched else None

    async def end(self, session: Session) -> None:
        """End a session; a sign-in is ended with all its children."""
        await self._store.run_confirmed(lambda: self._end_unconfirmed(session))

    async def _end_unconfirmed(self, session: Session) -> None:
        now = self._clock()
        await self._writer.mark_ended(session, now=now)
        owners = self._key_names.owners_of_identity(session.identity, session.provider_session)
        members = await self._queries.members(owners[0], now=now)
        children = (member for member in members if member.parent_id == session.public_id)
        await self._writer.erase((IndexMember.of(session), *children), owners, ())

    async def end_user(self, *, provider: str, issuer: str, subject: str) -> int:
        """End every session of a user, and return how many there were."""
        return await self._revoke(self._key_names.user(provider, issuer, subject), provider)

    async def end_user_by_sub(self, *, provider: str, issuer: str, sub: str) -> int:
        """As `end_user`, for the user with this `sub` claim where `claims.user` names another
        claim."""
        return await self._revoke(self._key_names.user_by_sub(provider, issuer, sub), provider)

    async def end_provider_session(
        self, *, provider: str, issuer: str, sid: str, only_if_known: bool = False
    ) -> int:
        """End every session of one session at the provider (its `sid`), and return how many there
        were.

        With `only_if_known`, nothing is written when there is none: for unauthenticated callers.
        """
        owner = self._key_names.provider_session(provider, issuer, sid)
        return await self._revoke(owner, provider, only_if_known=only_if_known)

    async def end_listed(self, summary: SessionSummary) -> None:
        """End the session of a summary, as `end` does."""
        identity = Identity(
            provider=summary.provider, issuer=summary.issuer, subject=summary.subject
        )
        await self.end(
            Session(
                public_id=summary.handle,
                kind=summary.kind,
                scope=summary.scope,
                identity=identity,
                created_at=summary.created_at,
                expires_at=summary.expires_at,
                provider_session=summary.provider_session,
                parent_id=summary.parent,
            )
        )

    async def find_summary(self, public_id: str) -> SessionSummary | None:
        """The summary of the active session with this public ID; None without one."""
        member, now = IndexMember(public_id), self._clock()
        for listing, last_use in await self._queries.valid_listings((member,)):
            if self._is_active(listing.summary, last_use, now=now):
                return replace(listing.summary, last_used_at=last_use)
        return None

    async def recent_revocations(self, provider: str) -> frozenset[str]:
        """The recent revocations of a provider, as the argument `revocations_before` of `create`.
        Read before the provider authenticates the user, so that `create` notices a sign-out in
        between."""
        [recent] = await self._store.read_indexes(
            self._key_names.revocations_key(provider), now=self._clock()
        )
        return frozenset(recent)

    async def provider_tokens(self, token: str) -> ProviderTokens | None:
        """The provider's tokens of a sign-in, for refresh and logout; None without any."""
        return await self._queries.provider_tokens(token)

    async def list_for_user(
        self, *, provider: str, issuer: str, subject: str
    ) -> tuple[SessionSummary, ...]:
        """The active sessions of a user, newest first."""
        return await self._list_active(self._key_names.user(provider, issuer, subject))

    async def list_for_provider_session(
        self, *, provider: str, issuer: str, sid: str
    ) -> tuple[SessionSummary, ...]:
        """The active sessions of one session at the provider (its `sid`), newest first."""
        return await self._list_active(self._key_names.provider_session(provider, issuer, sid))

    async def _list_active(self, owner: IndexOwner) -> tuple[SessionSummary, ...]:
        now = self._clock()
        members = await self._queries.members(owner, now=now)
        active = [
            replace(listing.summary, last_used_at=last_use)
            for listing, last_use in await self._queries.valid_listings(members)
            if self._is_active(listing.summary, last_use, now=now)
        ]
        return tuple(sorted(active, key=lambda summary: -summary.created_at))

    async def check_ready(self) -> None:
        """Return if the store can be written to now. Raises `StoreUnavailable` otherwise."""
        await self._store.check_ready()

    async def aclose(self) -> None:
        """Close the store."""
        await self._store.aclose()

    async def _initial_watermarks(
        self, owners: tuple[IndexOwner, ...], parent: Session | None, *, now: float
    ) -> frozenset[bytes]:
        """The watermarks that existed before a new session and do not end it."""
        if parent is None:
            return await self._queries.watermarks(owners)
        # A child inherits its parent's watermarks: a revocation since then ends both.
        for listing, last_use in await self._queries.valid_listings((IndexMember.of(parent),)):
            if self._is_active(parent, last_use, now=now):
                return listing.known_watermarks
        raise LoginRefused("the sign-in has ended in the meantime", public_message=_REVOKED_MESSAGE)

    def _is_active(self, session: Session | SessionSummary, last_use: float, *, now: float) -> bool:
        return is_active(session, last_use, now=now, idle_timeout=self._idle_timeout)

    async def _watermarks_since(
        self, provider: str, revocations_before: frozenset[str] | None, *, now: float
    ) -> frozenset[bytes]:
        """The watermarks that were set at this provider since `revocations_before` was read, for
        any user."""
        if revocations_before is None:
            return frozenset()
        [recent] = await self._store.read_indexes(
            self._key_names.revocations_key(provider), now=now
        )
        return frozenset(
            bytes.fromhex(watermark) for watermark in recent if watermark not in revocations_before
        )

    async def _revoke(
        self, owner: IndexOwner, provider: str, *, only_if_known: bool = False
    ) -> int:
        return await self._store.run_confirmed(
            lambda: self._revoke_unconfirmed(owner, provider, only_if_known=only_if_known)
        )

    async def _revoke_unconfirmed(
        self, owner: IndexOwner, provider: str, *, only_if_known: bool
    ) -> int:
        if only_if_known and not await self._queries.members(owner, now=self._clock()):
            return 0
        watermark, ttl = self._random(8), max(self._lifetime, _WATERMARK_SECONDS)
        now = self._clock()
        # Before the watermark is set: a reader of the watermark finds it in this index afterwards.
        await self._store.add_to_index(
            self._key_names.revocations_key(provider),
            watermark.hex(),
            expires_at=now + RECENT_REVOCATION_SECONDS,
            now=now,
        )
        await self._writer.mark_revoked(owner, watermark, ttl=ttl)
        members = await self._queries.members(owner, now=self._clock())
        listings = await self._queries.listings(members)
        await self._writer.erase(members, (owner,), listings)
        return len(listings)


def _check_parent(parent: Session, identity: Identity) -> None:
    def user_key(identity: Identity) -> tuple[str, str, str]:
        return identity.provider, identity.issuer, identity.subject

    if parent.kind is not SessionKind.SIGN_IN or user_key(parent.identity) != user_key(identity):
        raise ValueError("a child needs a sign-in of the same user as its parent")
