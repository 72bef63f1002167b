"""The adapter protocol: `parse` turns a proxy's subrequest into a `CheckRequest`, `render` turns an
`AuthzResponse` into the HTTP response that this proxy understands. Both are pure; adapters never
decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import Address, CheckRequest, Headers, RequestAttribute


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRequest:
    """A proxy's subrequest, as it was received.

    - `target`: the undecoded request target, with its query.
    - `headers`: names are in lower case.
    - `peer`: the socket's address; None on a Unix socket.
    """

    method: str
    target: str
    headers: Headers
    peer: Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A complete HTTP response."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An HTML page, with the response headers it needs."""

    html: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The request may pass.

    - `identity`: the headers to set, each at most once and never empty.
    - `cleared`: every managed header (aliases included) that is not set.
    - `cookie`: the `Cookie` header for the application; empty when no cookie of the client remains.
    - `set_cookie`: a `Set-Cookie` value for the client.
    - `max_age`: for how many seconds the proxy may reuse this response for the same request.
    """

    identity: tuple[tuple[str, str], ...] = ()
    cleared: tuple[str, ...] = ()
    cookie: str = ""
    set_cookie: str | None = None
    max_age: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequired:
    """The client has to sign in, or to sign in again.

    - `location`: the absolute URL of `start` on the request's own host.
    - `navigation`: whether the client follows a redirect.
    - `step_up`: the missing requirement, when there is a session that does not satisfy it.
    - `allowed_origin`: the other origin whose script may read the response (CORS).
    - `challenges`: the values of `WWW-Authenticate`.
    """

    location: str
    navigation: bool
    step_up: AuthenticationRequirement | None = None
    allowed_origin: str | None = None
    challenges: tuple[str, ...] = ("Bearer",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The request is refused.

    - `status`: 400, 401, 403, 429 or 503. 401 is for credentials that are not valid, or that are
      missing where no sign-in is possible.
    - `reason`: a code such as `email-unauthorized`.
    - `message`: a sentence for programs.
    - `request_id`: the id of the log line.
    - `page`: what a browser shows instead of `message`.
    - `retry_after`: in seconds.
    - `headers`: `WWW-Authenticate` and the headers that belong to it.
    - `allowed_origin`: as in `LoginRequired`.
    """

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
    """The adapter of one proxy."""

    @property
    def name(self) -> str:
        """The name in logs and metrics."""

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The attributes that this proxy can report about a request."""

    def parse(self, raw: SubRequest) -> CheckRequest:
        """Parse a subrequest. Raises `BadProxyRequest` when an attribute is missing, repeated or
        malformed."""

    def render(self, response: AuthzResponse, request: CheckRequest | None) -> HttpResponse:
        """Return the HTTP response for the proxy. `request` is None when `parse` refused it."""
