"""From a configuration to the routes it describes, the same for whoever serves and whoever checks."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.client_certificates import CertificateHeader
from authz_sidecar.adapters.registry import adapters
from authz_sidecar.config.records import read_table
from authz_sidecar.core.gc_tuning import collector_paused
from authz_sidecar.core.types import Fact
from authz_sidecar.policy.records import RecordTables, always, table_of
from authz_sidecar.routes import Built, build_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.config.schema import Config

_NO_MIRRORS: Mapping[str, Callable[[], Any]] = MappingProxyType({})


@collector_paused()
def ruleset(config: Config, *, mirrors: Mapping[str, Callable[[], Any]] = _NO_MIRRORS) -> Built:
    """`mirrors` tell the tables that are kept elsewhere, by name; without one a table is not known."""
    return build_routes(
        config.routes,
        config.policies,
        where=config.positions,
        facts=delivered_facts(config),
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
        token_issuers=tuple(config.token_issuers),
        allow_insecure_http=config.server.allow_insecure_http,
        records=_records(config, mirrors),
    )


def _records(config: Config, mirrors: Mapping[str, Callable[[], Any]]) -> RecordTables:
    unknown = always(None)
    by: dict[str, dict[str, Callable[[], Any]]] = {"user": {}, "address": {}}
    for name, settings in config.records.items():
        by[settings.by][name] = (
            always(table_of(read_table(settings).records, by=settings.by))
            if settings.redis is None
            else mirrors.get(name, unknown)
        )
    return RecordTables(by_user=by["user"], by_address=by["address"])


def delivered_facts(config: Config) -> frozenset[Fact]:
    """What every enabled adapter can tell of a request."""
    enabled = adapters(config.server.adapters, certificate=certificate_header(config)).values()
    return frozenset(Fact).intersection(*(adapter.facts for adapter in enabled))


def certificate_header(config: Config) -> CertificateHeader | None:
    """Where the proxies forward the client's certificate; None where they do not."""
    configured = config.server.client_certificate
    if configured is None:
        return None
    return CertificateHeader(name=configured.header.lower(), format=configured.format)
