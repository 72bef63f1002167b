"""The values of this room: what the store holds of a session, and what a list shows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity, Session, SessionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTokens:
    """What the provider gave at sign-in or refresh. `repr` shows none of it."""

    id_token: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """What may be shown of a session without its cookie: a line of "my sessions"."""

    handle: str
    kind: SessionKind
    scope: str
    provider: str
    issuer: str
    subject: str
    created_at: float
    expires_at: float
    last_used_at: float
    client: str
    user_agent: str
    provider_session: str | None = None
    parent: str | None = None
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session as stored; it never changes between refreshes.

    `known_watermarks` are the watermarks of its user and provider session when its sign-in began.
    Any other one that stands now was set by a revocation since. They are compared for equality, so
    nobody's clock has a say in whether a revoked session is dead. `vault_key` opens what a sign-in
    and its children share for refreshes; empty where there is nothing.
    """

    session: Session
    known_watermarks: frozenset[bytes] = frozenset()
    vault_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshVault:
    """What the provider said last: its tokens, and who this is. `refresh_at` says until when that
    is news enough."""

    tokens: ProviderTokens
    identity: Identity
    refresh_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionListing:
    """A session's summary as stored, where `last_used_at` is the time of sign-in."""

    summary: SessionSummary
    known_watermarks: frozenset[bytes] = frozenset()
