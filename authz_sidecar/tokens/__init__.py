"""Authentication by credentials in `Authorization`: their subject, and the response when they are
not valid. Knows nothing of policies or proxies."""

from authz_sidecar.tokens.authenticators import Authenticator, AuthenticatorChain
from authz_sidecar.tokens.authorization_header import Credentials
from authz_sidecar.tokens.bearer import AccessTokenAuthenticator

__all__ = ["AccessTokenAuthenticator", "Authenticator", "AuthenticatorChain", "Credentials"]
