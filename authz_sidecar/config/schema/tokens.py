"""The section `token_issuers`: which access tokens are accepted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from authz_sidecar.config.schema.kinds import (
    Boolean,
    Duration,
    Issuer,
    MustBeList,
    MustBeMap,
    OneOrMany,
    OneOrManySchema,
    SecretText,
    Section,
    Text,
    Unique,
)
from authz_sidecar.config.schema.providers import ALGORITHMS, Algorithm

UniqueTexts = Annotated[tuple[Text, ...], MustBeList, OneOrMany, Unique, OneOrManySchema]


class TokenClaims(Section):
    """Which claims describe the client. Only `user` has a default. A name is that of a claim. If no
    claim has that name, it is a path with dots into a nested claim; the longest claim name that the
    path begins with is used."""

    user: Text = Field(default="sub", description="The claim that identifies the client.")
    email: Text | None = Field(
        default=None,
        description="The claim with the e-mail address. It is trusted unless the token says that it is"
        " not verified (`email_verified`).",
    )
    groups: Text | None = Field(default=None, description="The claim with the groups.")
    name: Text | None = Field(default=None, description="The claim with the display name.")


class Introspection(Section):
    """Introspection of opaque tokens at the issuer (RFC 7662)."""

    endpoint: Issuer = Field(
        description="The introspection endpoint. `http://` on loopback names only."
    )
    client_id: Text = Field(description="The id of the client that may introspect.")
    client_secret: SecretText = Field(description="Its secret.")
    client_authentication: Literal["client_secret_basic", "client_secret_post"] = Field(
        default="client_secret_basic", description="How the client authenticates."
    )
    cache: Duration = Field(
        default=30.0,
        description="How long the result for an active token is cached, at most five minutes. A"
        " revocation takes effect after that.",
    )
    require_audience: Boolean = Field(
        default=True,
        description="Refuse a response without `aud`. With `false`, tokens without an audience are"
        " accepted.",
    )


class TokenIssuer(Section):
    """An issuer of access tokens that clients send in `Authorization`."""

    issuer: Issuer = Field(
        description="The exact `iss` of its tokens. `http://` on loopback names only."
    )
    audiences: UniqueTexts = Field(
        min_length=1,
        description="Accepted audiences: `aud` has to contain at least one of them.",
    )
    additional_audiences: UniqueTexts = Field(
        default=(),
        description="Other values that `aud` may contain beside one of `audiences`. A token with any"
        " further audience is refused.",
    )
    jwks_uri: Issuer | None = Field(
        default=None, description="The URL of its keys. By default it is discovered."
    )
    algorithms: Annotated[tuple[Algorithm, ...], MustBeList, Unique] = Field(
        default=ALGORITHMS,
        min_length=1,
        description="The accepted signature algorithms of its tokens.",
    )
    types: UniqueTexts = Field(
        default=("jwt", "at+jwt"),
        min_length=1,
        description="Accepted values of `typ`. `[at+jwt]` accepts access tokens of RFC 9068 only; a"
        " token without `typ` is accepted with the default only.",
    )
    claims: Annotated[TokenClaims, MustBeMap] = Field(
        default_factory=TokenClaims, description="Which claims describe the client."
    )
    require: Annotated[dict[Text, UniqueTexts], MustBeMap] = Field(
        default_factory=dict,
        description="Required claims: each must equal one of the given texts, in which `*` matches any"
        " characters. Claims are named as in `claims`. Restrict a public issuer to your part of it.",
    )
    scopes: UniqueTexts = Field(default=(), description="Scopes that a token must all have.")
    leeway: Duration = Field(
        default=30.0, description="The accepted clock difference, at most five minutes."
    )
    max_lifetime: Duration = Field(
        default=86400.0, description="Tokens with a longer lifetime are refused."
    )
    require_dpop: Boolean = Field(
        default=False,
        description="Refuse tokens that are not bound to a key by DPoP (RFC 9449).",
    )
    dpop_nonce: Boolean = Field(
        default=False,
        description="Require a nonce from the sidecar in DPoP proofs, against proofs dated in the future.",
    )
    ca_file: Text | None = Field(
        default=None, description="A file with the CA certificates to trust for its server."
    )
    bearer_token_file: Text | None = Field(
        default=None,
        description="A file with a bearer token for fetching the keys, as Kubernetes requires.",
    )
    introspection: Annotated[Introspection, MustBeMap] | None = Field(
        default=None,
        description="Ask the issuer about its tokens instead of verifying them as JWTs.",
    )
    advertised: Boolean = Field(
        default=True,
        description="Name the issuer in the public metadata of protected resources (RFC 9728).",
    )
