"""Credentials that a request brings itself, in `Authorization`: whose they are, and what is answered
where they count for nobody. Knows nothing of policies or proxies."""

from authz_sidecar.tokens.authenticators import Authenticator, AuthenticatorChain
from authz_sidecar.tokens.authorization_header import Credentials
from authz_sidecar.tokens.bearer import AccessTokenAuthenticator

__all__ = ["AccessTokenAuthenticator", "Authenticator", "AuthenticatorChain", "Credentials"]
