"""Identity providers: discovery, the authorization request, the exchange of a code, userinfo and
sign-out. The only package that speaks HTTP to them, and the only one that imports the client."""

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
