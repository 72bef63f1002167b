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
    """Which claim says what about a program. Only the user is told unless the others are named. A
    name is a claim, or a path with dots where no claim has that very name, into the claim with the
    longest name that begins it."""

    user: Text = Field(default="sub", description="The claim that identifies the program.")
    email: Text | None = Field(
        default=None,
        description="The claim with an e-mail address, of which the issuer is believed unless it says"
        " itself that it is not verified (`email_verified`).",
    )
    groups: Text | None = Field(default=None, description="The claim with the groups.")
    name: Text | None = Field(default=None, description="The claim with the name to show.")


class Introspection(Section):
    """Where to ask whose an opaque token is (RFC 7662)."""

    endpoint: Issuer = Field(
        description="The introspection endpoint. `http://` on loopback names only."
    )
    client_id: Text = Field(description="The client that may ask there.")
    client_secret: SecretText = Field(description="Its secret.")
    client_authentication: Literal["client_secret_basic", "client_secret_post"] = Field(
        default="client_secret_basic", description="How the client proves itself."
    )
    cache: Duration = Field(
        default=30.0,
        description="How long an active token is believed without asking again, five minutes at most;"
        " that long a revocation may go unnoticed.",
    )
    require_audience: Boolean = Field(
        default=True,
        description="Refuse an answer without `aud`. With `false`, every token of the issuer counts"
        " whose answer names no audience.",
    )


class TokenIssuer(Section):
    """An issuer whose tokens programs bring in `Authorization`."""

    issuer: Issuer = Field(
        description="Its `iss`, letter by letter. `http://` on loopback names only."
    )
    audiences: UniqueTexts = Field(
        min_length=1,
        description="What `aud` has to name, one of them at least: a token for somebody else opens"
        " nothing.",
    )
    additional_audiences: UniqueTexts = Field(
        default=(),
        description="Who else a token may be for beside one of `audiences`. A token that others hold"
        " as well is refused without.",
    )
    jwks_uri: Issuer | None = Field(
        default=None, description="Where its keys are. Found by discovery when absent."
    )
    algorithms: Annotated[tuple[Algorithm, ...], MustBeList, Unique] = Field(
        default=ALGORITHMS,
        min_length=1,
        description="The signatures that its tokens may have; name fewer to accept fewer.",
    )
    types: UniqueTexts = Field(
        default=("jwt", "at+jwt"),
        min_length=1,
        description="What a token may call itself in `typ`. `[at+jwt]` accepts access tokens of RFC"
        " 9068 alone; a token that names no type counts with the default only.",
    )
    claims: Annotated[TokenClaims, MustBeMap] = Field(
        default_factory=TokenClaims, description="Which claim says what about a program."
    )
    require: Annotated[dict[Text, UniqueTexts], MustBeMap] = Field(
        default_factory=dict,
        description="What claims have to say, each one of the given texts; `*` stands for any"
        " letters. Claims are named as in `claims`. Of an issuer that serves the whole world, name your"
        " part of it.",
    )
    scopes: UniqueTexts = Field(
        default=(), description="Scopes that a token must have, all of them."
    )
    leeway: Duration = Field(
        default=30.0, description="How far clocks may differ, five minutes at most."
    )
    max_lifetime: Duration = Field(
        default=86400.0, description="Tokens made for longer than this are refused."
    )
    require_dpop: Boolean = Field(
        default=False,
        description="Refuse tokens that are not bound to a key by DPoP (RFC 9449).",
    )
    dpop_nonce: Boolean = Field(
        default=False,
        description="Ask DPoP proofs for a nonce of ours, against clocks put forward.",
    )
    ca_file: Text | None = Field(
        default=None, description="A file with the authorities that its server is trusted by."
    )
    bearer_token_file: Text | None = Field(
        default=None,
        description="A file with a token to fetch the keys with, as Kubernetes wants it.",
    )
    introspection: Annotated[Introspection, MustBeMap] | None = Field(
        default=None, description="Ask the issuer about its tokens instead of reading them."
    )
    advertised: Boolean = Field(
        default=True,
        description="Name it in the metadata of protected resources (RFC 9728), which all can read.",
    )
