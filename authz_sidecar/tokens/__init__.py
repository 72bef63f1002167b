"""Credentials that a request brings itself, in `Authorization`: whose they are, and what is answered
where they count for nobody. Knows nothing of policies or proxies."""

from authz_sidecar.tokens.bearer import Bearers
from authz_sidecar.tokens.callers import Callers, CredentialKind
from authz_sidecar.tokens.presented import Presented

__all__ = ["Bearers", "Callers", "CredentialKind", "Presented"]
