"""The authorization response (RFC 6749 section 4.1.2), validated before anything is sent to the
provider.

Pure. The order matters: the state names a transaction of this browser and is equal to its state,
the response comes from the provider that was used; only then is there a code.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_sidecar.errors import LoginRefused, ProviderUnavailable, TransactionLost
from authz_sidecar.login.http import BadRequest, Pairs, single_parameter

if TYPE_CHECKING:
    from authz_sidecar.login.transactions import LoginTransaction

_MAX_CODE_LENGTH = 4096
_PARAMETERS = (
    "state",
    "code",
    "iss",
    "error",
    "error_description",
    "error_uri",
    "session_state",
    "user",
)

# RFC 6749 section 4.1.2.1: the provider has a problem, not the user.
_TEMPORARY_ERRORS = frozenset({"temporarily_unavailable", "server_error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """The parameters of an authorization response; none of them is trusted yet."""

    state: str
    code: str | None = field(repr=False)
    error: str | None
    issuer: str | None
    posted: bool
    user_json: str | None = field(default=None, repr=False)
    """The unsigned user data that some providers have the browser post."""


def parse_response(pairs: Pairs, *, posted: bool) -> AuthorizationResponse:
    """Return the parameters of the response. Raises `BadRequest` for a duplicate parameter or a
    missing state."""
    values = {name: single_parameter(pairs, name) for name in _PARAMETERS}
    if not values["state"]:
        raise BadRequest("callback without a state")
    return AuthorizationResponse(
        state=values["state"],
        code=values["code"],
        error=values["error"],
        issuer=values["iss"],
        posted=posted,
        user_json=values["user"],
    )


def check_state(response: AuthorizationResponse, transaction: LoginTransaction) -> None:
    """Check that the response belongs to this transaction. Raises `TransactionLost`."""
    if not hmac.compare_digest(response.state.encode(), transaction.state.encode()):
        raise TransactionLost("state is not that of the transaction")


def validate_response(
    response: AuthorizationResponse, *, issuer: str, requires_iss: bool, requires_form_post: bool
) -> str:
    """Return the authorization code of a valid response.

    Raises `BadRequest` without a usable code, `LoginRefused` for another issuer (RFC 9207 section
    2.4), another response mode or an error of the provider, and `ProviderUnavailable` for a
    temporary error.
    """
    # RFC 9207 section 2.4: `iss` is compared as a string whenever it is there, whether the provider
    # announces it or not; where it is required, a response without it is refused.
    if response.issuer is None and requires_iss:
        raise LoginRefused("the response lacks `iss`, which this provider has to send")
    if response.issuer is not None and response.issuer != issuer:
        raise LoginRefused(f"the response is from `{response.issuer:.200}`, expected `{issuer}`")
    if response.error is not None:
        raise _error(response.error)
    if not response.code or len(response.code) > _MAX_CODE_LENGTH:
        raise BadRequest("callback without a usable code")
    if response.posted != requires_form_post:
        raise LoginRefused("the response came by another response mode than requested")
    return response.code


def _error(code: str) -> LoginRefused | ProviderUnavailable:
    message = f"identity provider answered with error `{code:.60}`"
    if code in _TEMPORARY_ERRORS:
        return ProviderUnavailable(message)
    if code == "access_denied":
        return LoginRefused(
            message, public_message="The sign-in was cancelled, or your account may not sign in."
        )
    return LoginRefused(message)
