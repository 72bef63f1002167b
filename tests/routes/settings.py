"""Routes as a configuration gives them, for tests of this room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from authz_sidecar.core.source_locations import StaticSourceMap
from authz_sidecar.routes import CompiledRoutes, build_routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authz_sidecar.core.header_template import HeaderTemplate
    from authz_sidecar.core.types import RequestAttribute
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.policy.records import RecordTables
    from authz_sidecar.routes.settings import RouteSettings

SOURCE_MAP = StaticSourceMap(
    file="authz.yaml",
    locations={("routes", at): ("authz.yaml", 10 * at + 10, 3) for at in range(100)},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    from_: str = "https://app.example.com"
    name: str | None = None
    prefix: str | None = None
    path: str | None = None
    regex: str | None = None
    prefix_match: Literal["segment", "plain"] = "segment"
    paths: Literal["exact", "ignore_case"] = "exact"
    identity_provider: tuple[str, ...] | None = None
    token_issuers: tuple[str, ...] = ()
    service_accounts: bool = False
    command_line_tools: bool = False
    basic_auth: bool = False
    identity: Literal["none", "optional"] | None = None
    policies: tuple[str, ...] = ()
    policy: object = None
    allow_public_unauthenticated_access: bool = False
    allow_any_authenticated_user: bool = False
    cors_allow_preflight: bool = False
    allowed_domains: tuple[str, ...] = ()
    allowed_users: tuple[str, ...] = ()
    allowed_idp_claims: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    allowed_origins: tuple[Origin, ...] = ()
    depends_on: tuple[Origin, ...] = ()
    set_request_headers: Mapping[str, HeaderTemplate] = field(default_factory=dict)


def compile_routes(
    *routes: RouteSettings,
    policies: Mapping[str, object] | None = None,
    providers: Sequence[str] = ("corp",),
    token_issuers: Sequence[str] = (),
    default_provider: str | None = None,
    available_attributes: frozenset[RequestAttribute] | None = None,
    allow_insecure_http: bool = False,
    records: RecordTables | None = None,
) -> CompiledRoutes:
    optional = (
        {} if available_attributes is None else {"available_attributes": available_attributes}
    )
    return build_routes(
        routes,
        policies or {},
        source_map=SOURCE_MAP,
        providers=providers,
        token_issuers=token_issuers,
        default_provider=default_provider,
        allow_insecure_http=allow_insecure_http,
        records=records,
        **optional,
    )
