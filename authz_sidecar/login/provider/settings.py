"""What the operator says about one provider, and the limits we set for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from authz_sidecar.login.claims import ClaimRules
from authz_sidecar.login.jws import ALGORITHMS

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
TOTAL_SECONDS = 10.0
"""One exchange with a provider, retries of the network included: a person is waiting."""

LARGEST_ANSWER = 1_048_576
METADATA_FRESH_SECONDS = 3600.0
FIRST_BACK_OFF_SECONDS = 1.0
LONGEST_BACK_OFF_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """`client_authentication` None takes what the provider offers, `client_secret_basic` first."""

    name: str
    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    response_mode: Literal["query", "form_post"] = "query"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    claims: ClaimRules = field(default_factory=ClaimRules)
    algorithms: tuple[str, ...] = ALGORITHMS
    client_authentication: Literal["client_secret_basic", "client_secret_post"] | None = None
