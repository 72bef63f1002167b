"""What the operator says about one issuer of tokens, and the limits we set for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.jws import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TOKEN_BYTES = 16_384
"""Bytes. More than any issuer writes, and less than what parsing would be worth."""
ISSUER_TIMEOUT_SECONDS = 2.5
"""How long an issuer may keep a request waiting: proxies wait three seconds for us."""
MAX_CACHE_SECONDS = 300.0
"""How long a token is believed before its signature is looked at again."""
MAX_CACHED_TOKENS = 4096
MAX_PROOF_AGE_SECONDS = 60.0
"""How far `iat` of a DPoP proof may be from now, on either side."""
NONCE_WINDOW_SECONDS = 300.0

DEFAULT_TYPES = ("jwt", "at+jwt")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaimNames:
    """Claims, or paths into them (`core/claims.py`). None: not told."""

    user: str = "sub"
    email: str | None = None
    groups: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionSettings:
    """`cache_seconds` is in seconds."""

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
    """`jwks_uri` None is found by discovery. `types` are in lower case; with other than the usual
    ones a token has to say its type. `require` are patterns by claim, `scopes` are all required.
    `leeway` and `max_lifetime` are in seconds. Files are paths."""

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
    """`code` is the error of RFC 6750 section 3.1 or RFC 9449 section 7.1; `public_message` is
    said to the program: visible ASCII, without quotes and backslashes."""

    public_message = "The token does not count here."

    def __init__(
        self, message: str, *, code: str = "invalid_token", public_message: str | None = None
    ) -> None:
        super().__init__(message, public_message=public_message)
        self.code = code
