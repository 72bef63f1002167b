"""The sections `headers` and `assertion`: what the application learns about the user."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from authz_sidecar.config.schema.kinds import (
    Duration,
    HeaderName,
    MustBeList,
    MustBeMap,
    OneOrMany,
    OneOrManySchema,
    SecretText,
    Section,
    Text,
)


class HeaderSettings(Section):
    """What the app learns about the user."""

    preset: Literal["default", "pomerium", "oauth2-proxy", "authelia"] = Field(
        default="default",
        description="The names of the identity headers: `default` is `X-Auth-User`, `-Email`,"
        " `-Groups`, `-Name` and `-Assertion`; the others are those that each product sends.",
    )
    claims: Annotated[dict[HeaderName, Text], MustBeMap] = Field(
        default_factory=dict,
        description="Additional headers: the name of the header, and of the claim.",
    )
    groups: Annotated[tuple[Text, ...], MustBeList, OneOrMany, OneOrManySchema] = Field(
        default=("policy",),
        description="Which groups the app receives: `policy` (those that the host's policies mention),"
        " `all`, or a list of names.",
    )


class Assertion(Section):
    """The signed statement of identity that apps can verify."""

    ttl: Duration = Field(default=300.0, description="How long an assertion is valid.")
    signing_keys: Annotated[tuple[SecretText, ...], MustBeList] = Field(
        default=(),
        description="Private keys in PEM. The first signs, all are published; derived from"
        " `secret_keys` (ES256) when absent.",
    )
