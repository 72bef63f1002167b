"""Identity providers: discovery, the authorization request, the exchange of a code, userinfo and
sign-out. The only package that speaks HTTP to them, and the only one that imports the client."""

from authz_sidecar.login.provider.clientkey import ClientKey, client_key
from authz_sidecar.login.provider.metadata import Metadata
from authz_sidecar.login.provider.oidc import Provider, SignedIn
from authz_sidecar.login.provider.settings import ProviderSettings
from authz_sidecar.login.provider.tokens import RefreshRefused, Tokens
from authz_sidecar.login.provider.transport import Trust

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
