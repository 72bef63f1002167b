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
    """Which claims describe the user. A name is that of a claim. If no claim has that name, it is a path
    with dots into a nested claim; since names may contain dots, the longest claim name that the path
    begins with is used. `{client_id}` as a part of a path is the client's id."""

    user: Text = Field(default="sub", description="The claim that identifies the user.")
    email: _UniqueTexts = Field(
        default=("email",),
        min_length=1,
        description="The claim with the e-mail address, or several, of which the first present one is"
        " used. `email_verified` applies to the first; the others are used only where no"
        " verification is required.",
    )
    groups: _UniqueTexts = Field(
        default=("groups",),
        min_length=1,
        description="The claim with the groups, or several, whose groups are combined.",
    )
    name: Text = Field(default="name", description="The claim with the display name.")


def _make_issuer_optional(schema: dict[str, Any]) -> None:
    """Whether an issuer is required depends on the kind, which fills it in before it is missed."""
    schema["required"] = [name for name in schema["required"] if name != "issuer"]


class IdentityProvider(Section):
    """A provider that users sign in with. Defaults depend on `type`, see
    [providers.md](providers.md)."""

    model_config = ConfigDict(json_schema_extra=_make_issuer_optional)

    type: ProviderType = Field(default="oidc", description="The kind of provider.")
    label: Text | None = Field(
        default=None,
        description="The name on the page where users choose a provider. By default the name of the"
        " kind; for `oidc` the name in this file.",
    )
    issuer: Issuer = Field(
        description="The issuer URL, exactly as the provider writes it. `http://` on loopback names"
        " only. Optional for `google`, `github`, `gitlab` and `apple`.",
    )
    client_id: Text = Field(description="The id of the client that is registered there.")
    client_secret: SecretText | None = Field(
        default=None,
        description="The client's secret; absent for a public client (PKCE is always on).",
    )
    client_key: SecretText | None = Field(
        default=None,
        description="A private key in PEM (RSA, EC or Ed25519) instead of a secret: the client"
        " authenticates with `private_key_jwt` (RFC 7523). For `apple` it signs the client's secret.",
    )
    client_key_id: Text | None = Field(
        default=None, description="The provider's id of that key: the `kid` of what it signs."
    )
    client_assertion_audience: Literal["issuer", "token_endpoint"] | None = Field(
        default=None,
        description="The audience of a `private_key_jwt`: `token_endpoint` for `azure` and `okta`,"
        " otherwise `issuer`. `token_endpoint` is the endpoint that it is sent to.",
    )
    team_id: Text | None = Field(
        default=None, description="The team at Apple that `client_key` belongs to."
    )
    api: Issuer | None = Field(
        default=None,
        description="The URL of the API with a user's groups: of `github` (default"
        " `https://api.github.com`, and `/api/v3` of an `issuer` of your own) and Microsoft Graph"
        " for `azure` (default `https://graph.microsoft.com/v1.0`).",
    )
    allowed_tenants: Annotated[tuple[TenantId, ...], MustBeList, Unique] = Field(
        default=(),
        description="The tenants whose users may sign in, by id, where the `issuer` of `azure` is"
        " `common` or `organizations`. All of them when empty.",
    )
    authorization_parameters: Annotated[dict[Text, str], MustBeMap] = Field(
        default_factory=dict,
        description="Parameters to add to the authorization request, such as `{hd: example.com}`."
        " Those that the kind adds stay unless they are given here; an empty text removes one.",
    )
    pushed_authorization_requests: Literal["auto", "required", "never"] = Field(
        default="auto",
        description="Whether authorization requests are pushed to the provider (PAR, RFC 9126): if"
        " discovery offers it, always, or never.",
    )
    response_mode: Literal["query", "form_post"] = Field(
        default="query",
        description="How the provider returns the authorization response. `form_post` for `apple`.",
    )
    callback: Literal["own", "shared"] | None = Field(
        default=None,
        description="Which redirect URI is registered there: `own` is `<base_path>/callback/NAME`,"
        " `shared` is `<base_path>/callback`. The default with one provider is `own`; with several,"
        " each has to set it. [Several providers](providers.md#redirect-uris) may share one only if"
        " each sends its issuer in its authorization responses (`authorization_response_iss`).",
    )
    authorization_response_iss: Literal["auto", "required"] = Field(
        default="auto",
        description="Whether an authorization response without `iss` is refused (RFC 9207): `auto` if"
        " discovery promises it, `required` always. A wrong `iss` is always refused.",
    )
    scopes: Annotated[tuple[Text, ...], MustBeList, Unique] = Field(
        default=("openid", "profile", "email"),
        description="The scopes to request; `openid` is required, except for `github`.",
    )
    claims: Annotated[ProviderClaims, MustBeMap] = Field(
        default_factory=ProviderClaims, description="Which claims describe the user."
    )
    allow_unverified_email: Boolean = Field(
        default=False,
        description="Accept an e-mail address that the provider reports as unverified.",
    )
    require_verified_email: Boolean = Field(
        default=False,
        description="Accept an e-mail address only if the provider reports it as verified, and not if it"
        " reports nothing. The default is `true` for kinds that always report it.",
    )
    client_authentication: (
        Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] | None
    ) = Field(
        default=None,
        description="How the client authenticates at the token endpoint. The default is"
        " `private_key_jwt` with a `client_key`, otherwise what the provider offers, preferably"
        " `client_secret_basic`.",
    )
    algorithms: Annotated[tuple[Algorithm, ...], MustBeList, Unique] = Field(
        default=ALGORITHMS,
        min_length=1,
        description="The accepted signature algorithms of its tokens.",
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, data: Any) -> Any:
        """Fill in the defaults of the kind."""
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
