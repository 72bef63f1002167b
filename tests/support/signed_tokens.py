"""Keys and tokens for the tests of sign-in: what an honest provider makes, and each way to lie."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://idp.example.com"
CLIENT_ID = "authz"
NONCE = "nonce-of-this-attempt"
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class SigningKey:
    private: Any
    algorithm: str
    key_id: str | None
    jwk: dict[str, object]

    def sign(self, claims: dict[str, object], **header: object) -> str:
        names = {"kid": self.key_id} | header if self.key_id else header
        headers = {name: value for name, value in names.items() if value is not None}
        body = json.dumps(claims).encode()  # unchecked: a token may hold any nonsense
        return jwt.PyJWS().encode(body, self.private, algorithm=self.algorithm, headers=headers)


def signing_key(algorithm: str, key_id: str | None = "k1") -> SigningKey:
    private: Any
    if algorithm.startswith(("RS", "PS")):
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
        jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
    else:
        curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
        private = ec.generate_private_key(curves[algorithm])
        jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return SigningKey(private, algorithm, key_id, jwk | ({"kid": key_id} if key_id else {}))


def claims(**changes: object) -> dict[str, object]:
    """The claims of a good token; a change to `None` removes one."""
    good: dict[str, object] = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": CLIENT_ID,
        "exp": int(NOW) + 300,
        "iat": int(NOW),
        "nonce": NONCE,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def at_hash(access_token: str, digest: str = "sha256") -> str:
    whole = hashlib.new(digest, access_token.encode()).digest()
    return urlsafe_b64encode(whole[: len(whole) // 2]).rstrip(b"=").decode()
