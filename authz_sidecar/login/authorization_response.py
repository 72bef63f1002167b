"""The answer of a provider, judged before anything is sent back to it.

Pure. The order is the point: the state names an attempt of this browser, is equal to it, was
answered by the issuer that was asked; only then is there a code.
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
_KNOWN = (
    "state",
    "code",
    "iss",
    "error",
    "error_description",
    "error_uri",
    "session_state",
    "user",
)

# RFC 6749 section 4.1.2.1: the provider is in trouble, the person is not.
_PASSING_ERRORS = frozenset({"temporarily_unavailable", "server_error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """What came back at the callback, nothing of it believed yet."""

    state: str
    code: str | None = field(repr=False)
    error: str | None
    issuer: str | None
    posted: bool
    user_json: str | None = field(default=None, repr=False)
    """What the browser says about its user, which some providers have it post."""


def parse_response(pairs: Pairs, *, posted: bool) -> AuthorizationResponse:
    """Raises `BadRequest` for a parameter that came twice, or no state at all."""
    values = {name: single_parameter(pairs, name) for name in _KNOWN}
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
    if not hmac.compare_digest(response.state.encode(), transaction.state.encode()):
        raise TransactionLost("state is not that of the attempt")


def validate_response(
    response: AuthorizationResponse, *, issuer: str, requires_iss: bool, requires_form_post: bool
) -> str:
    """The code to redeem; raises what the person should see instead."""
    # RFC 9207 section 2.4: `iss` is compared with the issuer that was asked, as strings, whether it
    # was promised or not; where it has to be there, an answer without it is refused too.
    if response.issuer is None and requires_iss:
        raise LoginRefused("the answer lacks `iss`, which has to be in answers of this provider")
    if response.issuer is not None and response.issuer != issuer:
        raise LoginRefused(f"the answer is from `{response.issuer:.200}`, asked was `{issuer}`")
    if response.error is not None:
        raise _error(response.error)
    if not response.code or len(response.code) > _MAX_CODE_LENGTH:
        raise BadRequest("callback without a usable code")
    if response.posted != requires_form_post:
        raise LoginRefused("the answer came by another response mode than was asked for")
    return response.code


def _error(code: str) -> LoginRefused | ProviderUnavailable:
    message = f"identity provider answered with error `{code:.60}`"
    if code in _PASSING_ERRORS:
        return ProviderUnavailable(message)
    if code == "access_denied":
        return LoginRefused(
            message, public_message="The sign-in was cancelled, or your account may not."
        )
    return LoginRefused(message)
