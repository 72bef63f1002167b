"""Compiles the routes of a configuration, in the same way for the server and for `check`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.client_certificates import CertificateHeader
from authz_sidecar.adapters.registry import enabled_adapters
from authz_sidecar.config.records import parse_table
from authz_sidecar.core.gc_tuning import gc_paused
from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.policy.records import RecordTables, build_table, constantly
from authz_sidecar.routes import CompiledRoutes, build_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.config.schema import Config

_NO_SNAPSHOTS: Mapping[str, Callable[[], Any]] = MappingProxyType({})


@gc_paused()
def compile_routes(
    config: Config, *, snapshots: Mapping[str, Callable[[], Any]] = _NO_SNAPSHOTS
) -> CompiledRoutes:
    """Return the compiled routes of a configuration, with their problems. `snapshots` read the
    tables that are stored elsewhere, by name; a table without one is unknown."""
    return build_routes(
        config.routes,
        config.policies,
        source_map=config.source_map,
        available_attributes=available_attributes(config),
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
        token_issuers=tuple(config.token_issuers),
        allow_insecure_http=config.server.allow_insecure_http,
        records=_records(config, snapshots),
    )


def _records(config: Config, snapshots: Mapping[str, Callable[[], Any]]) -> RecordTables:
    unknown = constantly(None)
    by: dict[str, dict[str, Callable[[], Any]]] = {"user": {}, "address": {}}
    for name, settings in config.records.items():
        by[settings.by][name] = (
            constantly(build_table(parse_table(settings).records, by=settings.by))
            if settings.redis is None
            else snapshots.get(name, unknown)
        )
    return RecordTables(by_user=by["user"], by_address=by["address"])


def available_attributes(config: Config) -> frozenset[RequestAttribute]:
    """Return the request attributes that every enabled adapter delivers."""
    enabled = enabled_adapters(
        config.server.adapters, certificate=certificate_header(config)
    ).values()
    return frozenset(RequestAttribute).intersection(*(adapter.attributes for adapter in enabled))


def certificate_header(config: Config) -> CertificateHeader | None:
    """Return the header in which proxies forward the client's certificate, or None."""
    configured = config.server.client_certificate
    if configured is None:
        return None
    return CertificateHeader(name=configured.header.lower(), format=configured.format)
