"""Every exception of the package, in one tree.

    AuthzError
    ├── ConfigError            the operator's configuration; carries every problem found, with positions
    ├── StartError             the server cannot start: an address in use, a right that is missing
    │   └── TemporaryError     the operating system has no descriptor, memory or time left for now
    ├── BadProxyRequest  400   the proxy's facts are missing, doubled or malformed
    │   └── ProxyMisconfigured  400  its configuration leaves a fact out; the message says what to change
    ├── StoreUnavailable 503   the session store cannot answer
    ├── ProviderUnavailable 503  the identity provider cannot answer
    ├── CredentialsRefused 401 what a request brought in `Authorization` counts for nobody
    ├── BadReturnAddress 400   a sign-in would lead somewhere we do not protect
    ├── LoginRefused     403   a sign-in that must not succeed
    │   └── AttemptLost  400   its cookie is gone or too old; the user may simply start again
    └── Throttled        429   too many requests from one network

`str(exc)` is for the log: lower case, no full stop, input in backticks, never a token, cookie or
code. `public` is all that a browser ever sees.
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
    """One thing wrong with a configuration. Lines and columns count from 1; 0 means unknown."""

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
    """The message names the setting and says what is in the way."""


class TemporaryError(StartupError):
    """Nothing is wrong with the configuration, as far as anybody knows: it could not be read now."""


class BadProxyRequest(AuthzError):
    status = 400
    public_message = "This request reached the sign-in service in a form it does not accept."


class ProxyMisconfigured(BadProxyRequest):
    """No client can bring this about. The message is for the operator of the proxy, `reason` the code
    in the log."""

    reason: ClassVar[str] = "proxy-misconfigured"


class StoreUnavailable(AuthzError):
    status = 503
    public_message = (
        "The sign-in service cannot reach its session store. Please try again in a moment."
    )


class ProviderUnavailable(AuthzError):
    status = 503
    public_message = "The identity provider does not answer. Please try again in a moment."


class CredentialsRefused(AuthzError):
    """Credentials of the request's own, which were for us and do not count. `kind` is a word for
    logs and counts, `code` the error of RFC 6750 section 3.1 or RFC 9449, of which
    `insufficient_scope` is answered 403; `headers` are for the answer, `WWW-Authenticate` among
    them. Never a reason to fall back to a session."""

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
    status = 400
    public_message = "The address to return to after sign-in is not one this service protects."


class LoginRefused(AuthzError):
    status = 403
    public_message = "The sign-in could not be completed."


class TransactionLost(LoginRefused):
    status = 400
    public_message = (
        "This sign-in has expired or was started in another browser. Please start again."
    )


class RateLimited(AuthzError):
    """`retry_after` is in seconds."""

    status = 429
    public_message = "Too many requests. Please wait a moment and try again."

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
