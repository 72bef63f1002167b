"""The section `routes`: what is protected, and who may pass."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from authz_sidecar.config.schema.kinds import (
    Boolean,
    HeaderName,
    MustBeList,
    MustBeMap,
    Name,
    OneOrMany,
    OneOrManySchema,
    OriginText,
    Section,
    TemplateText,
    Text,
    Unique,
)


class RouteConfig(Section):
    """One protected host, or some of its paths, and who may pass."""

    name: Text | None = Field(
        default=None, description="The name of the route in logs, metrics and explanations."
    )
    from_: Text = Field(
        alias="from",
        description="The protected origin: `https://app.example.com`, `*.example.com` (one label)"
        " or `**.example.com` (any depth); with a port if it is not the default.",
        examples=["https://app.example.com"],
    )
    prefix: Text | None = Field(default=None, description="Paths that begin with this.")
    path: Text | None = Field(default=None, description="This path alone.")
    regex: Text | None = Field(
        default=None, description="Paths that match this regular expression as a whole."
    )
    prefix_match: Literal["segment", "plain"] = Field(
        default="segment",
        description="`segment`: `/admin` covers `/admin/x` and not `/administrator`; `plain` compares"
        " characters only.",
    )
    paths: Literal["exact", "ignore_case"] = Field(
        default="exact",
        description="`ignore_case` if the app ignores letter case in paths.",
    )
    identity_provider: (
        Annotated[tuple[Name, ...], MustBeList, OneOrMany, Unique, OneOrManySchema] | None
    ) = Field(
        default=None,
        min_length=1,
        description="The provider, or a list to choose from; sessions of other providers are not"
        " accepted. The default is `default_identity_provider`.",
    )
    token_issuers: Annotated[tuple[Name, ...], MustBeList, OneOrMany, Unique, OneOrManySchema] = (
        Field(
            default=(),
            description="Names of `token_issuers` whose [tokens](machines.md) are accepted. Without"
            " any, `Authorization` is left to the app.",
        )
    )
    service_accounts: Boolean = Field(
        default=False,
        description="Accept [service accounts](machines.md#service-accounts) that the policy lets"
        " pass.",
    )
    command_line_tools: Boolean = Field(
        default=False,
        description="Let users access the route with"
        " [command-line tools](machines.md#command-line-tools) under their own account.",
    )
    basic_auth: Boolean = Field(
        default=False,
        description="Accept the users of the password file in `basic_auth`.",
    )
    identity: Literal["none", "optional"] | None = Field(
        default=None,
        description="On public routes: `none` (the default) ignores sessions, `optional` passes the"
        " identity on if there is a session.",
    )
    policies: Annotated[tuple[Text, ...], MustBeList, OneOrMany, Unique, OneOrManySchema] = Field(
        default=(), description="Names of `policies` that apply to the route."
    )
    policy: object = Field(default=None, description="A policy for this route, in PPL.")
    allow_public_unauthenticated_access: Boolean = Field(
        default=False, description="Every request passes, signed in or not."
    )
    allow_any_authenticated_user: Boolean = Field(
        default=False, description="Every signed-in user passes."
    )
    cors_allow_preflight: Boolean = Field(
        default=False, description="CORS preflight requests pass; they never carry a session."
    )
    allowed_domains: Annotated[tuple[Text, ...], MustBeList] = Field(
        default=(), description="Users with an e-mail address in one of these domains pass."
    )
    allowed_users: Annotated[tuple[Text, ...], MustBeList] = Field(
        default=(), description="These users pass, by e-mail address or user id."
    )
    allowed_idp_claims: Annotated[
        dict[Text, Annotated[tuple[object, ...], MustBeList]], MustBeMap
    ] = Field(
        default_factory=dict,
        description="Users with one of these values in one of these claims pass.",
    )
    allowed_origins: Annotated[tuple[OriginText, ...], MustBeList] = Field(
        default=(),
        description="Other origins whose pages may open WebSockets here, and whose scripts may read the"
        " reason of a refusal.",
    )
    depends_on: Annotated[
        tuple[OriginText, ...], MustBeList, OneOrMany, Unique, OneOrManySchema
    ] = Field(
        default=(),
        description="Other hosts of this configuration, at most five, that pages of this one call:"
        " a sign-in here signs the user in there too.",
    )
    set_request_headers: Annotated[dict[HeaderName, TemplateText], MustBeMap] = Field(
        default_factory=dict,
        description="Additional headers for the app: text, with `${pomerium.jwt}` and other"
        " [references](headers.md#headers-of-a-route) filled in.",
    )


RouteConfigs = Annotated[tuple[Annotated[RouteConfig, MustBeMap], ...], MustBeList]
