"""Whether a JWT was signed by one of the keys we are given, by an algorithm of ours.

Pure. Everything that could be taken from the token or from the provider's metadata and must not be
(algorithms, key types, audiences) is fixed here. What the claims of a token have to say is up to its
kind.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jwt

from authz_sidecar.errors import LoginRefused

Jwk = Mapping[str, object]

LEEWAY_SECONDS = 30
MAX_TOKEN_BYTES = 65_536
_FAR = 1e12

# Algorithm -> (key type, curve, digest of `at_hash`). OpenID Connect Core, 3.1.3.6: the digest is
# the signature's own; Ed25519 hashes with SHA-512 (RFC 8032 section 5.1).
_ALGORITHMS: Mapping[str, tuple[str, str | None, str]] = {
    "RS256": ("RSA", None, "sha256"),
    "RS384": ("RSA", None, "sha384"),
    "RS512": ("RSA", None, "sha512"),
    "PS256": ("RSA", None, "sha256"),
    "PS384": ("RSA", None, "sha384"),
    "PS512": ("RSA", None, "sha512"),
    "ES256": ("EC", "P-256", "sha256"),
    "ES384": ("EC", "P-384", "sha384"),
    "ES512": ("EC", "P-521", "sha512"),
    "EdDSA": ("OKP", "Ed25519", "sha512"),
}
ALGORITHMS = tuple(_ALGORITHMS)
"""All we ever accept. A configuration may narrow this; neither `none` nor a MAC is in it."""


class BadSignature(LoginRefused):
    """Forged, or made with a key that was replaced under the same name, or under none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHeader:
    """What an unverified token says of its signature; only ever used to choose a key."""

    algorithm: str
    key_id: str | None


def decode_unverified(token: str, number: int) -> Mapping[str, object] | None:
    """The header (0) or the claims (1), which nobody has vouched for: to choose who does. None where
    `token` is no signed JWT."""
    if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
        return None
    part = token.split(".")[number]
    try:
        document = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, Mapping) else None


def parse_header(token: str, *, algorithms: Sequence[str], kinds: frozenset[str]) -> TokenHeader:
    """The header, once its algorithm is one of ours; raises `LoginRefused`. `kinds` are the types
    that a token of this purpose may call itself, beside none at all."""
    if len(token) > MAX_TOKEN_BYTES:
        raise LoginRefused(f"token of {len(token)} bytes")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise LoginRefused("token is not a signed JWT") from error
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if (
        not isinstance(algorithm, str)
        or algorithm not in algorithms
        or algorithm not in _ALGORITHMS
    ):
        raise LoginRefused(f"token is signed with `{algorithm!s:.40}`, which is not allowed")
    # RFC 8725 section 3.11: a token made for another purpose says so here.
    if kind is not None and str(kind).lower() not in kinds:
        raise LoginRefused(f"token of type `{kind!s:.40}`, which has another purpose")
    if "crit" in header or "b64" in header:
        raise LoginRefused("token has critical extensions")
    if key_id is not None and not isinstance(key_id, str):
        raise LoginRefused("token names its key by something other than a string")
    return TokenHeader(algorithm=algorithm, key_id=key_id)


def digest_of(algorithm: str) -> str:
    """The digest that goes with an algorithm, for hashes of other tokens."""
    return _ALGORITHMS[algorithm][2]


def suitable_keys(keys: Sequence[Jwk], header: TokenHeader) -> tuple[Jwk, ...]:
    """The keys that this header may mean. With a `kid`: those of that name. Without: all that fit;
    the caller takes one only if it is the only one (OpenID Connect Core, 10.1)."""
    return tuple(
        key
        for key in keys
        if _fits(key, header.algorithm)
        and (header.key_id is None or key.get("kid") == header.key_id)
    )


def _fits(key: Jwk, algorithm: str) -> bool:
    key_type, curve, _ = _ALGORITHMS[algorithm]
    operations = key.get("key_ops")
    return (
        key.get("kty") == key_type
        and (curve is None or key.get("crv") == curve)
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


def verify_signature(
    token: str,
    *,
    key: Jwk,
    algorithm: str,
    issuer: str | None,
    audience: str | None,
    required: tuple[str, ...],
) -> dict[str, object]:
    """The claims, once signature, issuer and audience are right. Times are checked by the caller, who
    knows what time it is; so are issuer and audience where None is expected here."""
    try:
        return jwt.decode(
            token,
            jwt.PyJWK(dict(key), algorithm=algorithm),
            algorithms=[algorithm],  # one, and of our list: never the provider's
            issuer=issuer,
            audience=audience,
            options={
                "verify_signature": True,
                "require": list(required),
                "verify_iss": issuer is not None,
                "verify_aud": audience is not None,
                "strict_aud": False,  # OpenID Connect allows a list; `azp` is checked for it
                "verify_sub": True,
                "verify_jti": True,
                "verify_exp": False,  # these three by `check_times`
                "verify_iat": False,
                "verify_nbf": False,
                "enforce_minimum_key_length": True,
            },
        )
    except jwt.InvalidSignatureError as error:
        raise BadSignature("token has a wrong signature") from error
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise LoginRefused(f"token refused: {type(error).__name__}") from error


_CLOCKS = (
    "The clock of the identity provider, or of this service, is wrong: what the provider signed is"
    " not valid at this time."
)


def check_times(claims: Mapping[str, object], *, now: float) -> None:
    if _time(claims, "exp") + LEEWAY_SECONDS <= now:
        raise LoginRefused("token has expired; compare the clocks", public_message=_CLOCKS)
    if _time(claims, "iat") - LEEWAY_SECONDS > now:
        raise LoginRefused(
            "token was issued in the future; compare the clocks", public_message=_CLOCKS
        )
    if "nbf" in claims and _time(claims, "nbf") - LEEWAY_SECONDS > now:
        raise LoginRefused("token is not valid yet; compare the clocks", public_message=_CLOCKS)


def _time(claims: Mapping[str, object], name: str) -> float:
    value = numeric_date(claims[name])
    if value is None:
        raise LoginRefused(f"token has a `{name}` that is no time")
    return value


def numeric_date(value: object) -> float | None:
    """A claim that is a time (RFC 7519 section 2, NumericDate). JSON's numbers have no end, and its
    parser lets `NaN` through, which is neither before nor after anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _FAR else None
