"""Clients of identity providers: discovery, authorization request, token request, userinfo, logout.
The only package that sends requests to them."""

from authz_sidecar.login.providers.client import AuthenticationResult, OIDCClient
from authz_sidecar.login.providers.settings import ProviderSettings
from authz_sidecar.login.providers.token_response import RefreshRefused, TokenResponse
from authz_sidecar.oidc.client_key import ClientKey, load_client_key
from authz_sidecar.oidc.http_client import TLSContext
from authz_sidecar.oidc.metadata import ProviderMetadata

__all__ = [
    "AuthenticationResult",
    "ClientKey",
    "OIDCClient",
    "ProviderMetadata",
    "ProviderSettings",
    "RefreshRefused",
    "TLSContext",
    "TokenResponse",
    "load_client_key",
]
