"""A client that proves itself with a key of its own: tokens signed here, believed by the provider.

Pure but for the randomness and the time, which are given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_SECONDS = 60
"""A fresh one is made for every request, so that it need not live longer than one."""

_BY_KEY = ("ES256", "ES384", "ES512", "EdDSA", "RS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    algorithm: str
    pem: str = field(repr=False)
    key_id: str | None = None

    def sign(self, claims: Mapping[str, object]) -> str:
        headers = {} if self.key_id is None else {"kid": self.key_id}
        return _signer().encode(dict(claims), self.pem, algorithm=self.algorithm, headers=headers)


def load_client_key(pem: str, *, key_id: str | None) -> ClientKey:
    """Raises `ValueError` unless it is an unencrypted private key that we can sign with."""
    for algorithm in _BY_KEY if "PRIVATE KEY-----" in pem else ():
        try:
            _signer().encode({}, pem, algorithm=algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        return ClientKey(algorithm=algorithm, pem=pem, key_id=key_id)
    raise ValueError(
        "is not a private key in PEM that can be used: RSA, EC on P-256, P-384 or P-521, or"
        " Ed25519, not encrypted"
    )


def _signer() -> jwt.PyJWT:
    return jwt.PyJWT(options={"enforce_minimum_key_length": True})


def client_assertion(
    key: ClientKey, *, client_id: str, audience: str, now: float, random: bytes
) -> str:
    """RFC 7523 section 3 and OpenID Connect Core section 9: `iss` and `sub` are the client, `aud` the
    provider, `jti` never comes twice."""
    return key.sign(
        {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": random.hex(),
            "iat": int(now),
            "exp": int(now) + LIFETIME_SECONDS,
        }
    )


def client_secret_jwt(
    key: ClientKey, *, client_id: str, team_id: str, issuer: str, now: float
) -> str:
    """What Apple calls a client secret ("Creating a client secret")."""
    return key.sign(
        {
            "iss": team_id,
            "sub": client_id,
            "aud": issuer,
            "iat": int(now),
            "exp": int(now) + LIFETIME_SECONDS,
        }
    )
