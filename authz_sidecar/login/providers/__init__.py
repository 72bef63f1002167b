"""Identity providers: discovery, the authorization request, the exchange of a code, userinfo and
sign-out. The only package that speaks HTTP to them, and the only one that imports the client."""

from authz_sidecar.login.providers.client import Provider, SignedIn
from authz_sidecar.login.providers.settings import ProviderSettings
from authz_sidecar.login.providers.token_response import RefreshRefused, Tokens
from authz_sidecar.oidc.client_key import ClientKey, client_key
from authz_sidecar.oidc.http_client import Trust
from authz_sidecar.oidc.metadata import Metadata

__all__ = [
    "ClientKey",
    "Metadata",
    "Provider",
    "ProviderSettings",
    "RefreshRefused",
    "SignedIn",
    "Tokens",
    "Trust",
    "client_key",
]
