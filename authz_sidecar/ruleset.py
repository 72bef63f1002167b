"""From a configuration to the routes it describes, the same for whoever serves and whoever checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.records import Records, read_table
from authz_sidecar.core.collector import collector_paused
from authz_sidecar.core.types import Fact
from authz_sidecar.policy.records import RecordTables
from authz_sidecar.proxies.catalogue import adapters
from authz_sidecar.proxies.certificates import CertificateHeader
from authz_sidecar.routes import Built, build_routes

if TYPE_CHECKING:
    from authz_sidecar.config.schema import Config


@collector_paused()
def ruleset(config: Config) -> Built:
    return build_routes(
        config.routes,
        config.policies,
        where=config.positions,
        facts=delivered_facts(config),
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
        token_issuers=tuple(config.token_issuers),
        allow_insecure_http=config.server.allow_insecure_http,
        records=_records(config),
    )


def _records(config: Config) -> RecordTables:
    def tables(by: str) -> dict[str, Records]:
        return {
            name: read_table(settings).records
            for name, settings in config.records.items()
            if settings.by == by
        }

    return RecordTables(users=tables("user"), networks=tables("address"))


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
