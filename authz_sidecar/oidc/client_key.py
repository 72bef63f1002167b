"""Client authentication by a private key: signs client assertions (RFC 7523) and Apple's client
secrets.

Pure: randomness and the time are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_SECONDS = 60
"""Every request gets a new assertion, so it only has to live for one request."""

_ALGORITHMS = ("ES256", "ES384", "ES512", "EdDSA", "RS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """A private key of this client.

    `algorithm`: the JWS algorithm that it signs with.
    `pem`: the private key in PEM.
    `key_id`: the `kid` header of what it signs; None leaves the header out.
    """

    algorithm: str
    pem: str = field(repr=False)
    key_id: str | None = None

    def sign(self, claims: Mapping[str, object]) -> str:
        """Return the claims as a signed JWT in compact form."""
        headers = {} if self.key_id is None else {"kid": self.key_id}
        return _signer().encode(dict(claims), self.pem, algorithm=self.algorithm, headers=headers)


def load_client_key(pem: str, *, key_id: str | None) -> ClientKey:
    """Return the key in `pem`. Raises `ValueError` unless it is an unencrypted private key of a
    supported type."""
    for algorithm in _ALGORITHMS if "PRIVATE KEY-----" in pem else ():
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
    """Return a client assertion for `private_key_jwt` (RFC 7523 section 3, OpenID Connect Core
    section 9): `iss` and `sub` are the client, `aud` is the provider, `jti` is unique."""
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
    """Return the signed JWT that Apple takes as a client secret (Apple, "Creating a client
    secret")."""
    return key.sign(
        {
            "iss": team_id,
            "sub": client_id,
            "aud": issuer,
            "iat": int(now),
            "exp": int(now) + LIFETIME_SECONDS,
        }
    )
