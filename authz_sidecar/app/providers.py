"""The identity providers of a configuration; those that did not change are taken over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from authz_sidecar.errors import ConfigError
from authz_sidecar.login.claims import ClaimNames, ClaimRules
from authz_sidecar.login.providers import Provider, ProviderSettings, Trust, client_key
from authz_sidecar.provider_presets import KINDS

if TYPE_CHECKING:
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config, IdentityProvider


def providers(config: Config, previous: Application | None) -> dict[str, Provider]:
    """Raises `ConfigError` for keys that nothing can be signed with."""
    old = previous.providers if previous else {}
    trust, providers, wrong = Trust(), {}, []
    for name, configured in config.identity_providers.items():
        try:
            settings = _provider_settings(name, configured)
        except ValueError as error:
            path = ("identity_providers", name, "client_key")
            wrong.append(config.positions.problem(str(error), *path))
            continue
        same = name in old and old[name].settings == settings
        providers[name] = old[name] if same else Provider(settings, clock=time.time, trust=trust)
    if wrong:
        raise ConfigError(tuple(sorted(wrong)))
    return providers


def _provider_settings(name: str, provider: IdentityProvider) -> ProviderSettings:
    secret, key, claims = provider.client_secret, provider.client_key, provider.claims
    kind = KINDS[provider.type]
    return ProviderSettings(
        name=name,
        kind=kind,
        label=provider.label,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=None if secret is None else secret.reveal(),
        client_key=None if key is None else client_key(key.reveal(), key_id=provider.client_key_id),
        client_assertion_audience=provider.client_assertion_audience,
        team_id=provider.team_id,
        api=provider.api,
        allowed_tenants=provider.allowed_tenants,
        authorization_parameters=provider.authorization_parameters,
        pushed_authorization_requests=provider.pushed_authorization_requests,
        response_mode=provider.response_mode,
        callback=provider.callback,
        authorization_response_iss=provider.authorization_response_iss,
        scopes=provider.scopes,
        claims=ClaimRules(
            names=ClaimNames(
                user=claims.user, email=claims.email, groups=claims.groups, name=claims.name
            ),
            client_id=provider.client_id,
            verified_by=kind.verified_by,
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
