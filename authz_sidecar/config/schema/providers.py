"""Where people sign in."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from authz_sidecar.config.schema.kinds import (
    Distinct,
    Issuer,
    Listed,
    Mapped,
    SecretText,
    Section,
    Text,
    Truth,
)

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


class Claims(Section):
    """Which claim says what about a user."""

    user: Text = Field(default="sub", description="The claim that identifies the user.")
    email: Text = Field(default="email", description="The claim with the e-mail address.")
    groups: Text = Field(default="groups", description="The claim with the groups.")
    name: Text = Field(default="name", description="The claim with the name to show.")


class IdentityProvider(Section):
    """An OpenID provider that people sign in with."""

    type: Literal["oidc"] = Field(default="oidc", description="What kind of provider it is.")
    issuer: Issuer = Field(
        description="Its issuer URL, letter by letter. `http://` on loopback names only."
    )
    client_id: Text = Field(description="The client registered there.")
    client_secret: SecretText | None = Field(
        default=None,
        description="The client's secret; absent for a public client (PKCE is always on).",
    )
    response_mode: Literal["query", "form_post"] = Field(
        default="query", description="How the provider returns the answer to the callback."
    )
    scopes: Annotated[tuple[Text, ...], Listed, Distinct] = Field(
        default=("openid", "profile", "email"), description="What to ask for; `openid` is required."
    )
    claims: Annotated[Claims, Mapped] = Field(
        default_factory=Claims, description="Which claim says what about a user."
    )
    allow_unverified_email: Truth = Field(
        default=False,
        description="Believe an e-mail address that the provider does not call verified.",
    )
    require_verified_email: Truth = Field(
        default=False,
        description="Believe an e-mail address only where the provider says that it is verified, not"
        " also where it says nothing.",
    )
    client_authentication: Literal["client_secret_basic", "client_secret_post"] | None = Field(
        default=None,
        description="How the client proves itself at the token endpoint. What the provider offers"
        " when absent, `client_secret_basic` first.",
    )
    algorithms: Annotated[tuple[Algorithm, ...], Listed, Distinct] = Field(
        default=ALGORITHMS,
        min_length=1,
        description="The signatures that its tokens may have; name fewer to accept fewer.",
    )
