"""DPoP proofs (RFC 9449): the verification that the sender of a request holds the key that its
token is bound to; and DPoP nonces (section 9), which are stateless: a time window and its keyed
hash.

Pure: the caller knows which proofs were used before.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.jws import (
    ALGORITHMS,
    numeric_date,
    parse_header,
    suitable_keys,
    verify_signature,
)
from authz_sidecar.sealing import KeyedHash
from authz_sidecar.tokens.claims import unverified_jwt_part
from authz_sidecar.tokens.settings import MAX_PROOF_AGE_SECONDS, NONCE_WINDOW_SECONDS, TokenRefused

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.sealing import SecretKeys

MAX_PROOF_BYTES = 4096
_MAX_JTI_LENGTH = 512
_REQUIRED = ("jti", "htm", "htu", "iat", "ath")
# RFC 7638 section 3.2: the members that a thumbprint is made of, and RFC 8037 section 2.
_THUMBPRINT_MEMBERS = {
    "RSA": ("e", "kty", "n"),
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DPoPProof:
    """A verified proof. `jti` and `thumbprint` together may be used once; `nonce` is not verified."""

    jti: str
    thumbprint: str
    nonce: str | None


def verify_proof(
    request: CheckRequest, *, token: str, thumbprint: str | None, now: float
) -> DPoPProof:
    """Return the verified proof (section 4.3, in its order). Raises `TokenRefused`."""
    if thumbprint is None:
        raise invalid_proof("the token is bound to no key", code="invalid_token")
    # 1: "There is not more than one DPoP HTTP request header field."
    proof = request.header("dpop")
    if proof is None:
        raise invalid_proof("there is not exactly one DPoP header")
    header = unverified_jwt_part(proof, 0) if len(proof) <= MAX_PROOF_BYTES else None
    if header is None:
        raise invalid_proof("the proof is no signed JWT")
    if header.get("typ") != "dpop+jwt":
        raise invalid_proof("the proof is not of type `dpop+jwt`")
    key = header.get("jwk")
    if not isinstance(key, Mapping) or _PRIVATE_MEMBERS & set(key):
        raise invalid_proof("the proof has no public key")
    claims = _verify_signature(proof, key)
    # Section 7.1: the proof must be of the key that the token is bound to.
    if not _equal_in_constant_time(jwk_thumbprint(key), thumbprint):
        raise invalid_proof("the proof is of another key than the token's")
    _check_request(claims, request)
    issued_at = numeric_date(claims.get("iat"))
    if issued_at is None or abs(now - issued_at) > MAX_PROOF_AGE_SECONDS:
        raise invalid_proof("the proof is too old, or of the future; compare the clocks")
    if not _equal_in_constant_time(
        claims.get("ath"), base64url_encode(sha256(token.encode()).digest())
    ):
        raise invalid_proof("the proof belongs to another token")
    jti, nonce = claims.get("jti"), claims.get("nonce")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI_LENGTH:
        raise invalid_proof("the proof has no usable `jti`")
    return DPoPProof(
        jti=jti, thumbprint=thumbprint, nonce=nonce if isinstance(nonce, str) else None
    )


def jwk_thumbprint(key: Mapping[str, object]) -> str:
    """Return the thumbprint of a key (RFC 7638 section 3)."""
    members = {name: key.get(name) for name in _THUMBPRINT_MEMBERS.get(str(key.get("kty")), ())}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return base64url_encode(sha256(canonical.encode("utf-8", "surrogatepass")).digest())


def _verify_signature(proof: str, key: Mapping[str, object]) -> Mapping[str, object]:
    try:
        header = parse_header(proof, algorithms=ALGORITHMS, kinds=frozenset({"dpop+jwt"}))
        public_key = {name: value for name, value in key.items() if name != "kid"}
        if not suitable_keys([public_key | {"kid": header.key_id}], header):
            raise invalid_proof("the proof's key does not go with its algorithm")
        return verify_signature(
            proof,
            key=public_key,
            algorithm=header.algorithm,
            issuer=None,
            audience=None,
            required=_REQUIRED,
        )
    except TokenRefused:
        raise
    except LoginRefused as error:
        raise invalid_proof(str(error)) from error


def _check_request(claims: Mapping[str, object], request: CheckRequest) -> None:
    if claims.get("htm") != request.method:
        raise invalid_proof("the proof is for another method")
    htu = claims.get("htu")
    try:
        # "without query and fragment parts": what a client left there is ignored (point 9).
        origin, target = parse_url(str(htu).partition("#")[0].partition("?")[0])
    except MalformedUrl as error:
        raise invalid_proof("the proof's `htu` is no address") from error
    if not isinstance(htu, str) or origin != request.origin or target != request.path:
        raise invalid_proof("the proof is for another address")


def _equal_in_constant_time(actual: object, expected: str) -> bool:
    return isinstance(actual, str) and hmac.compare_digest(
        actual.encode("utf-8", "surrogatepass"), expected.encode()
    )


def invalid_proof(message: str, *, code: str = "invalid_dpop_proof") -> TokenRefused:
    """Return the error for a proof that is not valid."""
    return TokenRefused(
        f"DPoP: {message}", code=code, public_message="The DPoP proof is not accepted here."
    )


class DPoPNonces:
    """The nonces of a time window. A nonce is valid in its window and the next."""

    def __init__(self, keys: SecretKeys) -> None:
        self._keys = tuple(map(KeyedHash, keys.derive("nonces of DPoP proofs")))

    def current(self, *, now: float) -> str:
        """Return the nonce of the current window; `now` is in Unix seconds."""
        return self._nonce_of_window(self._keys[0], math.floor(now / NONCE_WINDOW_SECONDS))

    def is_valid(self, nonce: str, *, now: float) -> bool:
        """Whether a nonce is of the current or the previous window, under any of the keys."""
        window = math.floor(now / NONCE_WINDOW_SECONDS)
        return any(
            hmac.compare_digest(nonce.encode("utf-8", "surrogatepass"), valid.encode())
            for key in self._keys
            for valid in (
                self._nonce_of_window(key, window),
                self._nonce_of_window(key, window - 1),
            )
        )

    @staticmethod
    def _nonce_of_window(key: KeyedHash, window: int) -> str:
        return base64url_encode(key(str(window).encode())[:16])
