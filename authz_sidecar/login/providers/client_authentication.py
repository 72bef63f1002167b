"""How the client proves that it is the client, in every request that goes from us to the provider:
at the token endpoint and where requests for sign-in are handed in beforehand."""

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
    """The client's credentials for a request to `endpoint`, one of the provider's own."""
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
        chosen = settings.client_assertion_audience or settings.kind.assertion_audience
        assertion = client_assertion(
            key,
            client_id=client_id,
            # Never another URL that the provider names: it could be that of another provider, to
            # which the assertion would be replayed.
            audience=metadata.issuer if chosen == "issuer" else endpoint,
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
    return secret_credentials(client_id, secret, in_form=_by_post(settings, metadata))


def _by_post(settings: ProviderSettings, metadata: ProviderMetadata) -> bool:
    if settings.client_authentication is not None:
        return settings.client_authentication == "client_secret_post"
    offered = metadata.token_endpoint_authentication
    return "client_secret_basic" not in offered and "client_secret_post" in offered
