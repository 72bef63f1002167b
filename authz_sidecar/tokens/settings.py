"""The settings of token issuers, the limits for all of them, and the error for a token that is not
valid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.jws import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TOKEN_BYTES = 16_384
"""More than any issuer writes, and cheap to parse."""
ISSUER_TIMEOUT_SECONDS = 2.5
"""The timeout of a request to an issuer: proxies wait three seconds for the sidecar."""
MAX_CACHE_SECONDS = 300.0
"""How long a verified token is cached before its signature is verified again."""
MAX_CACHED_TOKENS = 4096
MAX_PROOF_AGE_SECONDS = 60.0
"""How far `iat` of a DPoP proof may be from now, on either side."""
NONCE_WINDOW_SECONDS = 300.0

DEFAULT_TYPES = ("jwt", "at+jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaimNames:
    """Names of claims, or paths into them (`core/claims.py`); None when the issuer has no such
    claim."""

    user: str = "sub"
    email: str | None = None
    groups: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionSettings:
    """How tokens of an issuer are introspected. `cache_seconds` is in seconds."""

    endpoint: str
    client_id: str
    client_secret: str = field(repr=False)
    client_authentication: Literal["client_secret_basic", "client_secret_post"] = (
        "client_secret_basic"
    )
    cache_seconds: float = 30.0
    require_audience: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """The settings of one token issuer.

    - `jwks_uri`: None to use the issuer's metadata.
    - `types`: accepted values of `typ`, in lower case; without the default ones, `typ` is required.
    - `require`: patterns by claim.
    - `scopes`: all of them are required.
    - `leeway`, `max_lifetime`: in seconds.
    - `ca_file`, `bearer_token_file`: paths.
    """

    name: str
    issuer: str
    audiences: tuple[str, ...]
    additional_audiences: tuple[str, ...] = ()
    jwks_uri: str | None = None
    algorithms: tuple[str, ...] = ALGORITHMS
    types: tuple[str, ...] = DEFAULT_TYPES
    claims: TokenClaimNames = TokenClaimNames()
    require: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    leeway: float = 30.0
    max_lifetime: float = 86_400.0
    require_dpop: bool = False
    dpop_nonce: bool = False
    ca_file: str | None = None
    bearer_token_file: str | None = None
    introspection: IntrospectionSettings | None = None
    advertised: bool = True


class TokenRefused(LoginRefused):
    """A token is not valid.

    `code` is the error of RFC 6750 section 3.1 or RFC 9449 section 7.1. The message is for the log
    and names the check that failed; `public_message` is for the client, which does not learn it:
    visible ASCII, without quotes and backslashes.
    """

    public_message = "The token is not accepted here."

    def __init__(
        self, message: str, *, code: str = "invalid_token", public_message: str | None = None
    ) -> None:
        super().__init__(message, public_message=public_message)
        self.code = code
