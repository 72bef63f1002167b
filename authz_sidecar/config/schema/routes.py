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
    """One protected place: a host, a part of its paths, and who may pass."""

    name: Text | None = Field(
        default=None, description="Its name in logs, metrics and explanations."
    )
    from_: Text = Field(
        alias="from",
        description="The origin it protects: `https://app.example.com`, `*.example.com` (one label)"
        " or `**.example.com` (any depth); with a port if it is not the default.",
        examples=["https://app.example.com"],
    )
    prefix: Text | None = Field(default=None, description="Paths that begin with this.")
    path: Text | None = Field(default=None, description="This path alone.")
    regex: Text | None = Field(default=None, description="Paths that match this, from end to end.")
    prefix_match: Literal["segment", "plain"] = Field(
        default="segment",
        description="`segment`: `/admin` covers `/admin/x` and not `/administrator`; `plain` compares"
        " letters alone.",
    )
    paths: Literal["exact", "ignore_case"] = Field(
        default="exact",
        description="`ignore_case` where the app does not tell letter case apart.",
    )
    identity_provider: (
        Annotated[tuple[Name, ...], MustBeList, OneOrMany, Unique, OneOrManySchema] | None
    ) = Field(
        default=None,
        min_length=1,
        description="The provider, or a list to choose from; the session of another one opens"
        " nothing here. `default_identity_provider` when absent.",
    )
    token_issuers: Annotated[tuple[Name, ...], MustBeList, OneOrMany, Unique, OneOrManySchema] = (
        Field(
            default=(),
            description="Names of `token_issuers` whose [tokens](machines.md) count here. Where there"
            " are none, `Authorization` is the app's business alone.",
        )
    )
    service_accounts: Boolean = Field(
        default=False,
        description="[Service accounts](machines.md#service-accounts) count here, as far as its"
        " policy lets them pass.",
    )
    command_line_tools: Boolean = Field(
        default=False,
        description="People may use [command-line tools](machines.md#command-line-tools) here, as"
        " themselves.",
    )
    basic_auth: Boolean = Field(
        default=False,
        description="Users of the password file of `basic_auth`, above, count here.",
    )
    identity: Literal["none", "optional"] | None = Field(
        default=None,
        description="On public routes: `none` (the default there) asks for no session, `optional`"
        " passes the identity on when there is one.",
    )
    policies: Annotated[tuple[Text, ...], MustBeList, OneOrMany, Unique, OneOrManySchema] = Field(
        default=(), description="Names of `policies` that decide here."
    )
    policy: object = Field(default=None, description="A policy of its own, in PPL.")
    allow_public_unauthenticated_access: Boolean = Field(
        default=False, description="Everybody passes, signed in or not."
    )
    allow_any_authenticated_user: Boolean = Field(
        default=False, description="Everybody who is signed in passes."
    )
    cors_allow_preflight: Boolean = Field(
        default=False, description="CORS preflights pass, which never carry a session."
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
        description="Other sites whose pages may open WebSockets here, and whose scripts may read what"
        " a refusal says.",
    )
    depends_on: Annotated[
        tuple[OriginText, ...], MustBeList, OneOrMany, Unique, OneOrManySchema
    ] = Field(
        default=(),
        description="Other hosts of this configuration that a page here calls: who signs in here"
        " is signed in there in the same go; at most five.",
    )
    set_request_headers: Annotated[dict[HeaderName, TemplateText], MustBeMap] = Field(
        default_factory=dict,
        description="More headers for the app: text, with `${pomerium.jwt}` and other"
        " [references](headers.md#headers-of-a-route) filled in.",
    )


RouteConfigs = Annotated[tuple[Annotated[RouteConfig, MustBeMap], ...], MustBeList]
