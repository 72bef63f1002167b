"""The schema of a configuration: every key with its type, default and description.

The descriptions are the source of the configuration reference. Rules that involve more than one key
are in `checks`; policies stay raw, `policy` compiles them.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PrivateAttr

from authz_sidecar.config.schema.accounts import BasicAuth
from authz_sidecar.config.schema.headers import Assertion, HeaderSettings
from authz_sidecar.config.schema.kinds import (
    MustBeList,
    MustBeMap,
    Name,
    Secret,
    SecretText,
    Section,
    Text,
)
from authz_sidecar.config.schema.providers import ALGORITHMS, IdentityProvider
from authz_sidecar.config.schema.records import RecordHash, RecordTable
from authz_sidecar.config.schema.routes import RouteConfig, RouteConfigs
from authz_sidecar.config.schema.server import ADAPTERS, Server
from authz_sidecar.config.schema.sessions import Sessions
from authz_sidecar.config.schema.tokens import TokenIssuer
from authz_sidecar.core.source_locations import SourceMap, unknown_locations

__all__ = [
    "ADAPTERS",
    "ALGORITHMS",
    "BasicAuth",
    "Config",
    "IdentityProvider",
    "RecordHash",
    "RecordTable",
    "RouteConfig",
    "RouteConfigs",
    "Secret",
    "TokenIssuer",
]


class Config(Section):
    """The configuration of authz-sidecar."""

    # Both are removed while a configuration is loaded; they are here for editors and the reference.
    extends: Text | None = Field(
        default=None,
        description="A file, or a directory of files, that this one [extends](environments.md).",
    )
    variables: Annotated[dict[Name, object], MustBeMap] = Field(
        default_factory=dict,
        description='Values of any type by name, for `{var: NAME}` and `{text: "…{NAME}…"}`.',
    )
    server: Annotated[Server, MustBeMap] = Field(
        default_factory=Server, description="Where the sidecar listens and which proxies it trusts."
    )
    secret_keys: Annotated[tuple[SecretText, ...], MustBeList] = Field(
        min_length=1,
        description="Secrets of at least 32 bytes that all other keys are derived from. The first"
        " encrypts, all decrypt, so rotation ends no session. `authz-sidecar keys new` makes one.",
    )
    sessions: Annotated[Sessions, MustBeMap] = Field(
        description="Where sessions are stored and for how long."
    )
    identity_providers: Annotated[dict[Name, Annotated[IdentityProvider, MustBeMap]], MustBeMap] = (
        Field(default_factory=dict, description="Where users sign in, by a name of your choice.")
    )
    default_identity_provider: Name | None = Field(
        default=None,
        description="The provider of routes that name none. Required with several providers unless"
        " every route names its own.",
    )
    token_issuers: Annotated[dict[Name, Annotated[TokenIssuer, MustBeMap]], MustBeMap] = Field(
        default_factory=dict,
        description="Issuers of access [tokens](machines.md) that are accepted, by a name of your choice.",
    )
    basic_auth: Annotated[BasicAuth, MustBeMap] | None = Field(
        default=None,
        description="HTTP Basic for [clients that support nothing else](machines.md#http-basic).",
    )
    headers: Annotated[HeaderSettings, MustBeMap] = Field(
        default_factory=HeaderSettings, description="What the app learns about the user."
    )
    assertion: Annotated[Assertion, MustBeMap] = Field(
        default_factory=Assertion,
        description="The signed statement of identity that apps can verify.",
    )
    policies: Annotated[dict[Text, object], MustBeMap] = Field(
        default_factory=dict, description="Policies by name, for use in several routes, in PPL."
    )
    records: Annotated[dict[Name, Annotated[RecordTable, MustBeMap]], MustBeMap] = Field(
        default_factory=dict,
        description="Tables by name, for the criterion `record`.",
    )
    routes: RouteConfigs = Field(
        default=(), description="What is protected. A host without a route is refused."
    )

    _positions: SourceMap = PrivateAttr(default_factory=lambda: unknown_locations("configuration"))

    @property
    def source_map(self) -> SourceMap:
        """The source location of each key."""
        return self._positions

    def with_source_map(self, source_map: SourceMap) -> Self:
        """Return the same configuration with the locations of its keys."""
        copy = self.model_copy()
        copy._positions = source_map  # noqa: SLF001 -- a copy of its own
        return copy
