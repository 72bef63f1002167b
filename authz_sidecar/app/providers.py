"""The identity providers of a configuration; those that did not change are taken over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from authz_sidecar.login.claims import ClaimNames, ClaimRules
from authz_sidecar.login.provider import Provider, ProviderSettings, Trust

if TYPE_CHECKING:
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config, IdentityProvider


def providers(config: Config, previous: Application | None) -> dict[str, Provider]:
    old = previous.providers if previous else {}
    trust, providers = Trust(), {}
    for name, configured in config.identity_providers.items():
        settings = _provider_settings(name, configured)
        same = name in old and old[name].settings == settings
        providers[name] = old[name] if same else Provider(settings, clock=time.time, trust=trust)
    return providers


def _provider_settings(name: str, provider: IdentityProvider) -> ProviderSettings:
    secret, claims = provider.client_secret, provider.claims
    return ProviderSettings(
        name=name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=None if secret is None else secret.reveal(),
        response_mode=provider.response_mode,
        scopes=provider.scopes,
        claims=ClaimRules(
            names=ClaimNames(
                user=claims.user, email=claims.email, groups=claims.groups, name=claims.name
            ),
            require_verified_email=provider.require_verified_email,
            allow_unverified_email=provider.allow_unverified_email,
        ),
        algorithms=provider.algorithms,
        client_authentication=provider.client_authentication,
    )


def default_providers(config: Config) -> tuple[str, ...]:
    if config.default_identity_provider is not None:
        return (config.default_identity_provider,)
    return tuple(config.identity_providers)
