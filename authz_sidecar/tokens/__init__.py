"""Credentials that a request brings itself, in `Authorization`: whose they are, and what is answered
where they count for nobody. Knows nothing of policies or proxies."""

from authz_sidecar.tokens.authenticators import Callers, CredentialKind
from authz_sidecar.tokens.authorization_header import Presented
from authz_sidecar.tokens.bearer import Bearers

__all__ = ["Bearers", "Callers", "CredentialKind", "Presented"]
