"""Builds the OpenID Connect clients of a configuration.

Clients whose settings did not change are taken over from the previous application.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from authz_sidecar.errors import ConfigError
from authz_sidecar.login.claims import ClaimNames, ClaimRules
from authz_sidecar.login.providers import OIDCClient, ProviderSettings, TLSContext, load_client_key
from authz_sidecar.provider_presets import PROVIDER_PRESETS

if TYPE_CHECKING:
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config, IdentityProvider


def build_providers(config: Config, previous: Application | None) -> dict[str, OIDCClient]:
    """Return the client of each identity provider, by name.

    Raises `ConfigError` for client keys that cannot sign.
    """
    previous_providers = previous.providers if previous else {}
    tls_context, providers, problems = TLSContext(), {}, []
    for name, provider in config.identity_providers.items():
        try:
            settings = _provider_settings(name, provider)
        except ValueError as error:
            path = ("identity_providers", name, "client_key")
            problems.append(config.source_map.problem(str(error), *path))
            continue
        is_unchanged = name in previous_providers and previous_providers[name].settings == settings
        providers[name] = (
            previous_providers[name]
            if is_unchanged
            else OIDCClient(settings, clock=time.time, trust=tls_context)
        )
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    return providers


def _provider_settings(name: str, provider: IdentityProvider) -> ProviderSettings:
    secret, key, claims = provider.client_secret, provider.client_key, provider.claims
    preset = PROVIDER_PRESETS[provider.type]
    return ProviderSettings(
        name=name,
        kind=preset,
        label=provider.label,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=None if secret is None else secret.reveal(),
        client_key=None
        if key is None
        else load_client_key(key.reveal(), key_id=provider.client_key_id),
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
            verified_claim=preset.verified_claim,
            require_verified_email=provider.require_verified_email,
            allow_unverified_email=provider.allow_unverified_email,
        ),
        algorithms=provider.algorithms,
        client_authentication=provider.client_authentication,
    )


def default_providers(config: Config) -> tuple[str, ...]:
    """Return the providers of routes that name none: the default one, or all."""
    if config.default_identity_provider is not None:
        return (config.default_identity_provider,)
    return tuple(config.identity_providers)
