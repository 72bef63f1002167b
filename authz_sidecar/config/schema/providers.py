"""The section `identity_providers`: where users sign in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from authz_sidecar.config.schema.kinds import (
    Boolean,
    Issuer,
    MustBeList,
    MustBeMap,
    OneOrMany,
    OneOrManySchema,
    SecretText,
    Section,
    TenantId,
    Text,
    Unique,
)
from authz_sidecar.provider_presets import PROVIDER_PRESETS

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

ProviderType = Literal[
    "oidc",
    "google",
    "azure",
    "okta",
    "auth0",
    "gitlab",
    "github",
    "keycloak",
    "cognito",
    "apple",
    "onelogin",
    "ping",
]

_UniqueTexts = Annotated[tuple[Text, ...], OneOrMany, Unique, OneOrManySchema]


class ProviderClaims(Section):
    """Which claim says what about a user. A name is a claim, or a path with dots where no claim has
    that very name, into the claim with the longest name that begins it, as names may have dots
    themselves; `{client_id}` as a part of a path stands for the client."""

    user: Text = Field(default="sub", description="The claim that identifies the user.")
    email: _UniqueTexts = Field(
        default=("email",),
        min_length=1,
        description="The claim with the e-mail address, or several of which the first that is there"
        " counts. What the provider vouches for is the first; the others are believed where"
        " nothing has to be verified.",
    )
    groups: _UniqueTexts = Field(
        default=("groups",),
        min_length=1,
        description="The claim with the groups, or several that are added up.",
    )
    name: Text = Field(default="name", description="The claim with the name to show.")


def _make_issuer_optional(schema: dict[str, Any]) -> None:
    """Whether an issuer is required depends on the kind, which fills it in before it is missed."""
    schema["required"] = [name for name in schema["required"] if name != "issuer"]


class IdentityProvider(Section):
    """A provider that people sign in with. Defaults depend on `type`, see
    [providers.md](providers.md)."""

    model_config = ConfigDict(json_schema_extra=_make_issuer_optional)

    type: ProviderType = Field(default="oidc", description="What kind of provider it is.")
    label: Text | None = Field(
        default=None,
        description="What people read where they choose. The name of the kind when absent, for"
        " `oidc` the name it has here.",
    )
    issuer: Issuer = Field(
        description="Its issuer URL, letter by letter. `http://` on loopback names only. May be"
        " left out for `google`, `github`, `gitlab` and `apple`.",
    )
    client_id: Text = Field(description="The client registered there.")
    client_secret: SecretText | None = Field(
        default=None,
        description="The client's secret; absent for a public client (PKCE is always on).",
    )
    client_key: SecretText | None = Field(
        default=None,
        description="A private key in PEM (RSA, EC or Ed25519) instead of a secret: the client"
        " proves itself by `private_key_jwt` (RFC 7523). For `apple` it signs the client's secret.",
    )
    client_key_id: Text | None = Field(
        default=None, description="What the provider calls that key: the `kid` of what it signs."
    )
    client_assertion_audience: Literal["issuer", "token_endpoint"] | None = Field(
        default=None,
        description="Whom a `private_key_jwt` is for: `token_endpoint` for `azure` and `okta`,"
        " otherwise `issuer`. `token_endpoint` stands for the endpoint that it is sent to.",
    )
    team_id: Text | None = Field(
        default=None, description="The team at Apple that `client_key` belongs to."
    )
    api: Issuer | None = Field(
        default=None,
        description="Where the API is that knows a user's groups: of `github` (otherwise"
        " `https://api.github.com`, and `/api/v3` of an `issuer` of your own) and Microsoft Graph"
        " for `azure` (otherwise `https://graph.microsoft.com/v1.0`).",
    )
    allowed_tenants: Annotated[tuple[TenantId, ...], MustBeList, Unique] = Field(
        default=(),
        description="Which tenants' users may sign in, by id, where the `issuer` of `azure` is"
        " `common` or `organizations`. All of them when empty.",
    )
    authorization_parameters: Annotated[dict[Text, str], MustBeMap] = Field(
        default_factory=dict,
        description="What to add to the request for sign-in, such as `{hd: example.com}`. What the"
        " kind adds by itself stays unless it is given here; an empty text leaves it out.",
    )
    pushed_authorization_requests: Literal["auto", "required", "never"] = Field(
        default="auto",
        description="Whether the request for sign-in is handed in beforehand, from us to the"
        " provider (RFC 9126): where discovery offers it, always, or never.",
    )
    response_mode: Literal["query", "form_post"] = Field(
        default="query",
        description="How the provider returns the answer to the callback. `form_post` for `apple`.",
    )
    callback: Literal["own", "shared"] | None = Field(
        default=None,
        description="Which redirect URI is registered there: `own` is `<base_path>/callback/NAME`,"
        " `shared` is `<base_path>/callback`. `own` when absent; with several providers each has to"
        " say which. [Several](providers.md#redirect-uris) may have one that is shared only where"
        " the provider names itself in its answers (`authorization_response_iss`).",
    )
    authorization_response_iss: Literal["auto", "required"] = Field(
        default="auto",
        description="Whether an answer without `iss` is refused (RFC 9207): `auto` where discovery"
        " promises it, `required` always. One that is there has to be right in any case.",
    )
    scopes: Annotated[tuple[Text, ...], MustBeList, Unique] = Field(
        default=("openid", "profile", "email"),
        description="What to ask for; `openid` is required, except for `github`.",
    )
    claims: Annotated[ProviderClaims, MustBeMap] = Field(
        default_factory=ProviderClaims, description="Which claim says what about a user."
    )
    allow_unverified_email: Boolean = Field(
        default=False,
        description="Believe an e-mail address that the provider does not call verified.",
    )
    require_verified_email: Boolean = Field(
        default=False,
        description="Believe an e-mail address only where the provider says that it is verified, not"
        " also where it says nothing. True for kinds that always say it.",
    )
    client_authentication: (
        Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] | None
    ) = Field(
        default=None,
        description="How the client proves itself at the token endpoint. `private_key_jwt` with a"
        " `client_key`; otherwise what the provider offers when absent, `client_secret_basic`"
        " first.",
    )
    algorithms: Annotated[tuple[Algorithm, ...], MustBeList, Unique] = Field(
        default=ALGORITHMS,
        min_length=1,
        description="The signatures that its tokens may have; name fewer to accept fewer.",
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, data: Any) -> Any:
        """What the operator left unsaid, as the kind has it."""
        if not isinstance(data, Mapping):
            return data
        name = data.get("type", "oidc")
        if not isinstance(name, str) or name not in PROVIDER_PRESETS:
            return data
        completed = dict(data)
        if completed.get("allow_unverified_email") in (True, "true"):
            completed.setdefault("require_verified_email", False)
        for key, value in PROVIDER_PRESETS[name].defaults.items():
            given = completed.get(key)
            if isinstance(value, Mapping) and isinstance(given, Mapping):
                completed[key] = {**value, **given}
            else:
                completed.setdefault(key, value)
        return completed
