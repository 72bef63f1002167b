"""Every exception of the package, in one tree.

    AuthzError
    ├── ConfigError            the operator's configuration; carries every problem found, with positions
    ├── StartupError           the server cannot start: an address in use, a missing permission
    │   └── TemporaryError     the operating system lacks descriptors, memory or time for now
    ├── BadProxyRequest  400   the request attributes are missing, repeated or malformed
    │   └── ProxyMisconfigured  400  its configuration leaves one out; the message says what to change
    ├── StoreUnavailable 503   the session store cannot answer
    ├── ProviderUnavailable 503  the identity provider cannot answer
    ├── CredentialsRefused 401 credentials in `Authorization` that are not valid
    ├── BadReturnUrl     400   the return URL of a sign-in is not on a protected host
    ├── LoginRefused     403   a sign-in that must not succeed
    │   └── TransactionLost  400  its cookie is missing or expired; the user can start again
    └── RateLimited      429   too many requests from one network

`str(exc)` is for the log: lower case, no full stop, input in backticks, never a token, cookie or
code. `public_message` is all that a browser ever sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class AuthzError(Exception):
    """Base of all errors this package raises on purpose."""

    status: ClassVar[int] = 500
    public_message: str = "Something went wrong in the sign-in service."

    def __init__(self, message: str, *, public_message: str | None = None) -> None:
        super().__init__(message)
        if public_message is not None:
            self.public_message = public_message


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One problem of a configuration. Lines and columns count from 1; 0 means unknown."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        location = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{location}: {self.message}"


class ConfigError(AuthzError):
    """The configuration cannot be used; `problems` holds all of them, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class StartupError(AuthzError):
    """The server cannot start; the message names the setting and the cause."""


class TemporaryError(StartupError):
    """The configuration could not be read now, for lack of descriptors, memory or time."""


class BadProxyRequest(AuthzError):
    """The proxy's request attributes are missing, repeated or malformed."""

    status = 400
    public_message = "This request reached the sign-in service in a form it does not accept."


class ProxyMisconfigured(BadProxyRequest):
    """The proxy's configuration leaves a request attribute out, which no client can cause.

    The message tells the proxy's operator what to change; `reason` is the code in the log.
    """

    reason: ClassVar[str] = "proxy-misconfigured"


class StoreUnavailable(AuthzError):
    """The session store does not answer."""

    status = 503
    public_message = (
        "The sign-in service cannot reach its session store. Please try again in a moment."
    )


class ProviderUnavailable(AuthzError):
    """An identity provider or token issuer does not answer."""

    status = 503
    public_message = "The identity provider does not answer. Please try again in a moment."


class CredentialsRefused(AuthzError):
    """The credentials in `Authorization` are of a kind that the route accepts, and are not valid.

    Never a reason to fall back to a session.

    - `kind`: the kind of credential, for logs and metrics.
    - `code`: the error code of RFC 6750 section 3.1 or RFC 9449; `insufficient_scope` is answered
      with 403, every other with 401.
    - `headers`: the headers of the response, with `WWW-Authenticate`.
    """

    status = 401
    public_message = "The credentials of this request are not accepted."

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        code: str = "invalid_token",
        headers: tuple[tuple[str, str], ...] = (),
        public_message: str | None = None,
    ) -> None:
        super().__init__(message, public_message=public_message)
        self.kind = kind
        self.code = code
        self.headers = headers


class BadReturnUrl(AuthzError):
    """The return URL of a sign-in is not on a protected host."""

    status = 400
    public_message = "The address to return to after sign-in is not one this service protects."


class LoginRefused(AuthzError):
    """A sign-in must not succeed."""

    status = 403
    public_message = "The sign-in could not be completed."


class TransactionLost(LoginRefused):
    """The cookie of a sign-in is missing or has expired; the user can start again."""

    status = 400
    public_message = (
        "This sign-in has expired or was started in another browser. Please start again."
    )


class RateLimited(AuthzError):
    """A network sent too many requests; `retry_after` is in seconds."""

    status = 429
    public_message = "Too many requests. Please wait a moment and try again."

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
