"""The values that rooms exchange. All are frozen; times are Unix seconds as `float`."""

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
"""Header lines in order of arrival: names in lower case, values decoded as latin-1, repeated lines
kept."""


REASON_HEADER = "x-authz-reason"
"""The header in which a proxy that sends a second subrequest after a denial gets the reason of the
first one and repeats it."""


class RequestAttribute(StrEnum):
    """The attributes of a request that a policy may use; each adapter declares which of them it
    delivers."""

    METHOD = "method"
    PATH = "path"
    QUERY = "query"
    CLIENT_ADDRESS = "client address"
    HEADERS = "headers"
    CERTIFICATE = "client certificate"
    BODY = "body"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """What the proxy reports of the client's certificate. `pem` is None when the proxy does not
    send it."""

    presented: bool
    valid: bool
    pem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """The original request, as its proxy described it.

    - `path`: raw; visible ASCII, begins with `/`, no decoding applied.
    - `query`: raw without the `?`; None when there is none.
    - `client` and `certificate`: None when unknown.
    - `headers`: the client's own, without those in which the proxy reports about the request.
    - `attributes`: what the adapter delivers; any other attribute is unknown, never empty.
    - `unsupported_upgrade`: the request asks to switch to another protocol than WebSocket.
    - `is_challenge_phase`: the second subrequest after a denial, sent only for the response to
      show; nothing passes because of it.
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
        """The path with its query."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def first_denial_reason(self) -> str | None:
        """The reason of the denial, in the second subrequest after it; None in the first
        subrequest."""
        return self.header(REASON_HEADER) if self.is_challenge_phase else None

    @property
    def url(self) -> str:
        """The absolute URL."""
        return f"{self.origin}{self.target}"

    def header(self, name: str) -> str | None:
        """Returns the value of a header that arrived exactly once; None when absent or repeated."""
        values = self.header_values(name)
        return values[0] if len(values) == 1 else None

    def header_values(self, name: str) -> tuple[str, ...]:
        """Returns all values of a header, in order of arrival."""
        return tuple(value for key, value in self.headers if key == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user or a service, as a provider attested it. `(provider, issuer, subject)` identifies it.

    - `claims`: the merged claims of ID token and userinfo, without protocol claims such as `nonce`.
    - `email`: None unless the provider verified it (or the operator allowed unverified addresses).
    - `authenticated_at`, `acr`, `amr`: when and how the user signed in (OpenID Connect Core, 2).
    - `is_service`: not a person. `subject` begins with the name of the issuer, `github/…`, so that
      no program is taken for a person.
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
    """How a session came to be."""

    SIGN_IN = "sign-in"
    """Created by a sign-in: the single sign-on session on `auth_host`, or the host's own without
    one."""
    CHILD = "child"
    """One host's session below a sign-in on `auth_host`; it ends with its parent."""
    TOOL = "tool"
    """A command-line tool's session on one host, below a sign-in; it ends with its parent."""
    SERVICE_ACCOUNT = "service-account"
    """A service account's session: no sign-in, no idle timeout."""
    PASSWORD = "password"  # noqa: S105 - the word for it
    """Authenticated by a password in the request itself; not stored."""
    TOKEN = "token"  # noqa: S105 - the word for it
    """Authenticated by a signed token in the request itself; not stored."""
    INTROSPECTED = "introspected"
    """Authenticated by a token that its issuer was asked about (RFC 7662); not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A valid session.

    - `public_id`: names it in logs, lists and indexes; it authenticates nothing.
    - `scope`: the origin (`https://app.example.com`) or cookie domain (`.example.com`) it is sealed
      to.
    - `refresh_at`: the time from which the provider should confirm the identity again; None where
      it cannot.
    - `routes`: the names of the routes it is confined to; empty when it is not confined.
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
        """Whether the provider should confirm the identity again at `now`."""
        return self.refresh_at is not None and now >= self.refresh_at

    @property
    def root_session(self) -> Session:
        """The sign-in session that this one descends from, with what is known of it here; ending it
        ends all its descendants."""
        if self.parent_id is None:
            return self
        return replace(self, public_id=self.parent_id, kind=SessionKind.SIGN_IN, parent_id=None)


@dataclass(frozen=True, slots=True)
class Allow:
    """The request passes."""

    reasons: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Challenge:
    """The request needs a sign-in. With `step_up` the user is signed in, and passes after a sign-in
    that meets it."""

    reasons: frozenset[str] = frozenset()
    step_up: AuthenticationRequirement | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """The request does not pass, and a sign-in would not change that."""

    reasons: frozenset[str] = frozenset()


Decision = Allow | Challenge | Deny


def step_up_of(decision: Decision) -> AuthenticationRequirement | None:
    """Returns what a challenge requires of a new sign-in; None for any other decision."""
    return decision.step_up if isinstance(decision, Challenge) else None
