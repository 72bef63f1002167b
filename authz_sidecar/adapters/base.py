"""What an adapter is: `parse` turns one proxy's question into a `CheckRequest`, `render` turns our
answer into the bytes that this proxy understands. Both are pure; adapters never decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import Address, CheckRequest, Headers, RequestAttribute


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRequest:
    """A question as it came from the socket.

    `target` is the undecoded request target, query included. `peer` is the socket's address; None
    on a Unix socket.
    """

    method: str
    target: str
    headers: Headers
    peer: Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page for a person, with the response headers it needs."""

    html: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Let the request through.

    `identity` are the headers to set, each at most once and never empty; `cleared` names every
    managed header (aliases included) that is not set. `cookie` is the Cookie header that the
    application is to receive; it is empty when none of the client's cookies remain. For
    `max_age` seconds the proxy may say the same to the same question without asking.
    """

    identity: tuple[tuple[str, str], ...] = ()
    cleared: tuple[str, ...] = ()
    cookie: str = ""
    set_cookie: str | None = None
    max_age: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequired:
    """`location` is the absolute address of this host's own `start`; `navigation` says whether the
    client can follow a redirect. With `step_up` somebody is signed in, and has to be in another
    way. `allowed_origin` is the other site whose script asks, where it may read the answer;
    `challenges` are the values of `WWW-Authenticate`."""

    location: str
    navigation: bool
    step_up: AuthenticationRequirement | None = None
    allowed_origin: str | None = None
    challenges: tuple[str, ...] = ("Bearer",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """`status` is 400, 401, 403, 429 or 503; 401 is for credentials that do not count, or for their
    absence where nobody can sign in. `reason` is a code such as `email-unauthorized`, `message` a
    sentence for machines, `page` what a person sees instead; `request_id` finds the log line,
    `retry_after` is in seconds; `allowed_origin` as in `LoginRequired`; `headers` are
    `WWW-Authenticate` and what belongs to it."""

    status: int
    reason: str
    message: str
    request_id: str | None = None
    page: Page | None = None
    retry_after: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    allowed_origin: str | None = None


AuthzResponse = Allowed | LoginRequired | Rejected


class Adapter(Protocol):
    """One proxy's dialect."""

    @property
    def name(self) -> str: ...

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The facts this proxy can deliver about a request."""

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Raises `BadProxyRequest` when a fact is missing, doubled or malformed."""

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        """`request` is None where `parse` refused it."""
