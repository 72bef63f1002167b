"""Value types of stored sessions and of session lists. Knows neither encoding nor sealing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity, Session, SessionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTokens:
    """The tokens of a token response (RFC 6749 section 5.1), at sign-in or refresh. `repr` hides
    them.

    `expires_at`: when the access token expires, in seconds since the epoch; None if unknown.
    """

    id_token: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A session as lists show it, without its cookie. Times are in seconds since the epoch.

    `handle`: the public ID of the session.
    `provider_session`: the `sid` of the session at the provider (OpenID Connect Front-Channel
        Logout 1.0 section 3); None if it sent none.
    `parent`: the public ID of the sign-in that a child session belongs to.
    `routes`: the names of the routes to which the session is restricted; empty for no restriction.
    """

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
    """A session as stored; immutable between refreshes.

    `known_watermarks`: the revocation watermarks of its user and provider session when its sign-in
        began. Any other watermark was set by a later revocation and ends the session. Watermarks
        are compared for equality, so no clock decides whether a session is revoked.
    `vault_key`: opens the refresh vault that a sign-in shares with its children; empty without
        one.
    """

    session: Session
    known_watermarks: frozenset[bytes] = frozenset()
    vault_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshVault:
    """The provider's latest tokens and identity of a sign-in and its children.

    `refresh_at`: when they are to be refreshed, in seconds since the epoch.
    """

    tokens: ProviderTokens
    identity: Identity
    refresh_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionListing:
    """A session's summary as stored, in which `last_used_at` is the time of sign-in."""

    summary: SessionSummary
    known_watermarks: frozenset[bytes] = frozenset()
