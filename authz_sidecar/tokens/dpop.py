"""Whether a DPoP proof (RFC 9449) shows that whoever sends this very request holds the key that a
token is bound to. Pure: what was used before, and which nonces are ours, is the caller's to know."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from authz_sidecar.core.encoding import base64url
from authz_sidecar.core.urls import MalformedUrl, parse_url
from authz_sidecar.errors import LoginRefused
from authz_sidecar.oidc.jws import (
    ALGORITHMS,
    instant,
    read_header,
    suitable_keys,
    verify_signature,
)
from authz_sidecar.sealing import KeyedHash
from authz_sidecar.tokens.claims import unverified_part
from authz_sidecar.tokens.settings import NONCE_SECONDS, PROOF_SECONDS, TokenRefused

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.sealing import SecretKeys

LARGEST_PROOF = 4096
_LONGEST_ID = 512
_REQUIRED = ("jti", "htm", "htu", "iat", "ath")
# RFC 7638 section 3.2: the members that a thumbprint is made of, and RFC 8037 section 2.
_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`id` and `thumbprint` together may be seen once; `nonce` is what it says of ours."""

    id: str
    thumbprint: str
    nonce: str | None


def verify_proof(request: CheckRequest, *, token: str, thumbprint: str | None, now: float) -> Proof:
    """Section 4.3, in its order. Raises `TokenRefused`."""
    if thumbprint is None:
        raise wrong_proof("the token is bound to no key", code="invalid_token")
    # 1: "There is not more than one DPoP HTTP request header field."
    proof = request.header("dpop")
    if proof is None:
        raise wrong_proof("there is not exactly one DPoP header")
    header = unverified_part(proof, 0) if len(proof) <= LARGEST_PROOF else None
    if header is None:
        raise wrong_proof("the proof is no signed JWT")
    if header.get("typ") != "dpop+jwt":
        raise wrong_proof("the proof is not of type `dpop+jwt`")
    key = header.get("jwk")
    if not isinstance(key, Mapping) or _PRIVATE & set(key):
        raise wrong_proof("the proof has no public key")
    claims = _signed(proof, key)
    # Section 7.1: a proof of another key is worth nothing here.
    if not _same(thumbprint_of(key), thumbprint):
        raise wrong_proof("the proof is of another key than the token's")
    _check_request(claims, request)
    issued_at = instant(claims.get("iat"))
    if issued_at is None or abs(now - issued_at) > PROOF_SECONDS:
        raise wrong_proof("the proof is too old, or of the future; compare the clocks")
    if not _same(claims.get("ath"), base64url(sha256(token.encode()).digest())):
        raise wrong_proof("the proof belongs to another token")
    identifier, nonce = claims.get("jti"), claims.get("nonce")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _LONGEST_ID:
        raise wrong_proof("the proof has no usable `jti`")
    return Proof(
        id=identifier, thumbprint=thumbprint, nonce=nonce if isinstance(nonce, str) else None
    )


def thumbprint_of(key: Mapping[str, object]) -> str:
    """RFC 7638 section 3: required members, in lexicographic order, no white space."""
    members = {name: key.get(name) for name in _MEMBERS.get(str(key.get("kty")), ())}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return base64url(sha256(canonical.encode("utf-8", "surrogatepass")).digest())


def _signed(proof: str, key: Mapping[str, object]) -> Mapping[str, object]:
    try:
        header = read_header(proof, algorithms=ALGORITHMS, kinds=frozenset({"dpop+jwt"}))
        plain = {name: value for name, value in key.items() if name != "kid"}
        if not suitable_keys([plain | {"kid": header.key_id}], header):
            raise wrong_proof("the proof's key does not go with its algorithm")
        return verify_signature(
            proof,
            key=plain,
            algorithm=header.algorithm,
            issuer=None,
            audience=None,
            required=_REQUIRED,
        )
    except TokenRefused:
        raise
    except LoginRefused as error:
        raise wrong_proof(str(error)) from error


def _check_request(claims: Mapping[str, object], request: CheckRequest) -> None:
    if claims.get("htm") != request.method:
        raise wrong_proof("the proof is for another method")
    said = claims.get("htu")
    try:
        # "without query and fragment parts": what a client left there is ignored (point 9).
        origin, target = parse_url(str(said).partition("#")[0].partition("?")[0])
    except MalformedUrl as error:
        raise wrong_proof("the proof's `htu` is no address") from error
    if not isinstance(said, str) or origin != request.origin or target != request.path:
        raise wrong_proof("the proof is for another address")


def _same(one: object, other: str) -> bool:
    return isinstance(one, str) and hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode()
    )


def wrong_proof(message: str, *, code: str = "invalid_dpop_proof") -> TokenRefused:
    return TokenRefused(f"DPoP: {message}", code=code, public="The DPoP proof does not count here.")


class Nonces:
    """A nonce is good for its window and the next."""

    def __init__(self, keys: SecretKeys) -> None:
        self._keys = tuple(map(KeyedHash, keys.derive("nonces of DPoP proofs")))

    def current(self, *, now: float) -> str:
        return self._nonce(self._keys[0], math.floor(now / NONCE_SECONDS))

    def is_ours(self, nonce: str, *, now: float) -> bool:
        window = math.floor(now / NONCE_SECONDS)
        return any(
            hmac.compare_digest(nonce.encode("utf-8", "surrogatepass"), known.encode())
            for key in self._keys
            for known in (self._nonce(key, window), self._nonce(key, window - 1))
        )

    @staticmethod
    def _nonce(key: KeyedHash, window: int) -> str:
        return base64url(key(str(window).encode())[:16])
