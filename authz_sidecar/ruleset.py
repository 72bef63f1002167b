"""From a configuration to the routes it describes, the same for whoever serves and whoever checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.types import Fact
from authz_sidecar.proxies.catalogue import adapters
from authz_sidecar.routes import Built, build_routes

if TYPE_CHECKING:
    from authz_sidecar.config.schema import Config


def ruleset(config: Config) -> Built:
    return build_routes(
        config.routes,
        config.policies,
        where=config.positions,
        facts=delivered_facts(config),
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
        allow_insecure_http=config.server.allow_insecure_http,
    )


def delivered_facts(config: Config) -> frozenset[Fact]:
    """What every enabled adapter can tell of a request; of certificates only where the proxy
    forwards them."""
    enabled = adapters(config.server.adapters).values()
    facts = frozenset(Fact).intersection(*(adapter.facts for adapter in enabled))
    return facts if config.server.client_certificate is not None else facts - {Fact.CERTIFICATE}
