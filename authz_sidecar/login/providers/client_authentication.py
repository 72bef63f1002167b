"""Client authentication towards the provider, at the token endpoint and the pushed authorization
request endpoint: by secret, by private key, or none."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from authz_sidecar.oidc.client_authentication import ClientCredentials, secret_credentials
from authz_sidecar.oidc.client_key import ASSERTION_TYPE, client_assertion, client_secret_jwt

if TYPE_CHECKING:
    from authz_sidecar.login.providers.settings import ProviderSettings
    from authz_sidecar.oidc.metadata import ProviderMetadata

_RANDOM_BYTES = 16


def client_credentials(
    settings: ProviderSettings, metadata: ProviderMetadata, *, endpoint: str, now: float
) -> ClientCredentials:
    """Return the client's credentials for a request to `endpoint`.

    `now`: the time of a signed assertion, in Unix seconds.
    """
    client_id, key = settings.client_id, settings.client_key
    secret = settings.client_secret
    if key is not None and settings.kind.secret_is_signed_jwt:
        secret = client_secret_jwt(
            key,
            client_id=client_id,
            team_id=settings.team_id or "",
            issuer=settings.issuer,
            now=now,
        )
    elif key is not None:
        audience_kind = settings.client_assertion_audience or settings.kind.assertion_audience
        assertion = client_assertion(
            key,
            client_id=client_id,
            # Never another URL from the metadata: it could belong to another provider, and the
            # assertion could be replayed there.
            audience=metadata.issuer if audience_kind == "issuer" else endpoint,
            now=now,
            random=secrets.token_bytes(_RANDOM_BYTES),
        )
        return ClientCredentials(
            form={
                "client_id": client_id,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            }
        )
    if secret is None:
        return ClientCredentials(form={"client_id": client_id})
    return secret_credentials(client_id, secret, in_form=_uses_post(settings, metadata))


def _uses_post(settings: ProviderSettings, metadata: ProviderMetadata) -> bool:
    if settings.client_authentication is not None:
        return settings.client_authentication == "client_secret_post"
    supported = metadata.token_endpoint_authentication
    return "client_secret_basic" not in supported and "client_secret_post" in supported
