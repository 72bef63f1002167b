"""The values that travel between rooms. All are frozen; times are Unix seconds as `float`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.urls import Origin

Address = IPv4Address | IPv6Address

Headers = tuple[tuple[str, str], ...]
"""Header lines in order of arrival: names in lower case, values decoded as latin-1, doubles kept."""


REASON_HEADER = "x-authz-reason"
"""In which header a proxy that asks twice is told why, and says so when it asks again."""


class RequestAttribute(StrEnum):
    """What a policy may ask about a request; each proxy adapter declares which it can deliver."""

    METHOD = "method"
    PATH = "path"
    QUERY = "query"
    CLIENT_ADDRESS = "client address"
    HEADERS = "headers"
    CERTIFICATE = "client certificate"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What the proxy says of the client's certificate. `pem` is None where it sends none along."""

    presented: bool
    valid: bool
    pem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """The original request, as its proxy described it.

    `path` is raw: visible ASCII, begins with `/`, no decoding applied. `query` is raw without the
    `?`; None when there is none. `client` and `certificate` are None when unknown. `headers` are
    the client's own, less those in which the proxy reports its facts. A fact whose adapter does
    not deliver it is unknown, never empty (`attributes`). `unsupported_upgrade`: it asks to switch
    to another protocol than WebSocket. `is_challenge_phase`: it was asked about a moment ago and
    refused, and is asked about again for the words alone; nothing passes by the answer.
    """

    adapter: str
    method: str
    origin: Origin
    path: str
    query: str | None = None
    client: Address | None = None
    headers: Headers = ()
    websocket: bool = False
    unsupported_upgrade: bool = False
    certificate: ClientCertificate | None = None
    attributes: frozenset[RequestAttribute] = frozenset(RequestAttribute)
    is_challenge_phase: bool = False

    @property
    def target(self) -> str:
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def first_denial_reason(self) -> str | None:
        """Why it was refused when it was asked about first; None if this is that time."""
        return self.header(REASON_HEADER) if self.is_challenge_phase else None

    @property
    def url(self) -> str:
        return f"{self.origin}{self.target}"

    def header(self, name: str) -> str | None:
        """The value of a header that arrived exactly once; None when absent or repeated."""
        values = self.header_values(name)
        return values[0] if len(values) == 1 else None

    def header_values(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is, as a provider attested. `(provider, issuer, subject)` identifies a user.

    `claims` are the merged claims of ID token and userinfo, without protocol claims such as
    `nonce`. `email` is None unless the provider vouches for it (or the operator allowed unverified
    addresses). `authenticated_at`, `acr` and `amr` say when and how (OpenID Connect Core, 2).
    `is_service`: nobody signed in; `subject` begins with the name of who vouches, `github/…`, so
    that no program is taken for a person.
    """

    provider: str
    issuer: str
    subject: str
    email: str | None = None
    name: str | None = None
    groups: tuple[str, ...] = ()
    claims: Mapping[str, object] = field(default_factory=dict)
    authenticated_at: float | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    is_service: bool = False


class SessionKind(StrEnum):
    SIGN_IN = "sign-in"
    """Made by a sign-in: the single sign-on session on `auth_host`, or the host's own without one."""
    CHILD = "child"
    """One host's share of a sign-in on `auth_host`; dead with its parent."""
    TOOL = "tool"
    """A command-line tool's share of a sign-in, on one host; dead with its parent."""
    SERVICE_ACCOUNT = "service-account"
    """A machine's own: nobody signed in for it, and it is not idle when nobody uses it."""
    PASSWORD = "password"  # noqa: S105 - the word for it
    """Proved by a password that the request itself brought; kept nowhere."""
    TOKEN = "token"  # noqa: S105 - the word for it
    """Proved by a signed token that the request itself brought; kept nowhere."""
    INTROSPECTED = "introspected"
    """The same, by a token of which its issuer was asked (RFC 7662)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that was found alive.

    `public_id` names it in logs, lists and indexes and opens nothing. `scope` is what it is sealed
    to: an origin (`https://app.example.com`) or a cookie domain (`.example.com`). From `refresh_at`
    on the provider should be asked again who this is; None where it cannot be. `routes` are the
    names of those that it may open; empty where it is not confined to any.
    """

    public_id: str
    kind: SessionKind
    scope: str
    identity: Identity
    created_at: float
    expires_at: float
    provider_session: str | None = None
    parent_id: str | None = None
    refresh_at: float | None = None
    routes: tuple[str, ...] = ()

    def needs_refresh(self, now: float) -> bool:
        return self.refresh_at is not None and now >= self.refresh_at

    @property
    def root_session(self) -> Session:
        """The sign-in that this came of, as far as it is known here; ending it ends all that did."""
        if self.parent_id is None:
            return self
        return replace(self, public_id=self.parent_id, kind=SessionKind.SIGN_IN, parent_id=None)


@dataclass(frozen=True, slots=True)
class Allow:
    reasons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Nobody is signed in and somebody who is might pass. With `step_up` somebody is, and would
    pass after a sign-in of that kind."""

    reasons: frozenset[str] = frozenset()
    step_up: AuthenticationRequirement | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    reasons: frozenset[str] = frozenset()


Decision = Allow | Challenge | Deny


def step_up_of(decision: Decision) -> AuthenticationRequirement | None:
    return decision.step_up if isinstance(decision, Challenge) else None
