"""Whether an ID token is genuine, meant for us, and the answer to this very attempt.

Pure: keys, expectations and the time are given.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

from authz_sidecar.errors import LoginRefused
from authz_sidecar.login.jws import (
    ALGORITHMS,
    Jwk,
    check_times,
    digest_of,
    read_header,
    verify_signature,
)

VerifiedClaims = NewType("VerifiedClaims", Mapping[str, object])

# RFC 8725 section 3.11: a token made for another purpose says so in its header.
KINDS = frozenset({"jwt", "id_token+jwt"})
_REQUIRED = ("iss", "sub", "aud", "exp", "iat")

# Names that a broken provider sends where a user should be, and that would join strangers.
_NOBODY = frozenset({"null", "undefined", "none", "*"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    issuer: str
    client_id: str
    nonce: str | None
    """None for a refreshed token, which answers no request of a browser's."""
    algorithms: tuple[str, ...] = ALGORITHMS


def verify(
    token: str, *, key: Jwk, expected: Expected, now: float, access_token: str | None
) -> VerifiedClaims:
    """The claims of a token that passes every check; raises `LoginRefused`."""
    algorithm = read_header(token, algorithms=expected.algorithms, kinds=KINDS).algorithm
    claims = verify_signature(
        token,
        key=key,
        algorithm=algorithm,
        issuer=expected.issuer,
        audience=expected.client_id,
        required=_REQUIRED,
    )
    check_times(claims, now=now)
    check_party(claims, client_id=expected.client_id)
    check_subject(claims)
    if expected.nonce is not None:
        _check_nonce(claims, expected.nonce)
    if "at_hash" in claims and access_token is not None:
        _check_access_token_hash(claims["at_hash"], access_token, algorithm)
    return VerifiedClaims(claims)


def check_party(claims: Mapping[str, object], *, client_id: str) -> None:
    # OpenID Connect Core, 3.1.3.7, 4 and 5: with several audiences `azp` must be there, and when
    # it is there it must be us.
    audience, party = claims["aud"], claims.get("azp")
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise LoginRefused("ID token has several audiences and no `azp`")
    if party is not None and party != client_id:
        raise LoginRefused("ID token was issued to another client")


def check_subject(claims: Mapping[str, object]) -> None:
    subject = claims["sub"]
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= 255
        or not subject.isprintable()
        or subject.strip() != subject
        or subject.lower() in _NOBODY
    ):
        raise LoginRefused("ID token has no usable `sub`")


def _check_nonce(claims: Mapping[str, object], expected: str) -> None:
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not _same(nonce, expected):
        raise LoginRefused("ID token does not carry the nonce of this attempt")


def _check_access_token_hash(claim: object, access_token: str, algorithm: str) -> None:
    digest = hashlib.new(digest_of(algorithm), access_token.encode()).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not isinstance(claim, str) or not _same(claim, half):
        raise LoginRefused("ID token belongs to another access token")


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
