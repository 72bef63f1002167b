"""From a configuration to the routes it describes, the same for whoever serves and whoever checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.routes import Built, build_routes

if TYPE_CHECKING:
    from authz_sidecar.config.schema import Config


def ruleset(config: Config) -> Built:
    return build_routes(
        config.routes,
        config.policies,
        where=config.positions,
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
        allow_insecure_http=config.server.allow_insecure_http,
    )
