"""JWS signature verification (RFC 7515, RFC 8725): the allowed algorithms, the key that fits a
header, and the check itself.

Pure. Algorithms, key types and audiences are fixed here and never taken from the token or from the
provider's metadata. The rules for the claims belong to the modules of each kind of token.
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
"""The accepted algorithms; a configuration may narrow them. `none` and MACs are not among them."""


class BadSignature(LoginRefused):
    """The signature is wrong: the token is forged, or its key was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHeader:
    """The unverified header of a token, used only to choose a key."""

    algorithm: str
    key_id: str | None


def decode_unverified(token: str, index: int) -> Mapping[str, object] | None:
    """Return the header (part 0) or the claims (part 1) without verification, or None when `token`
    is not a signed JWT. Use it only to choose the verifier."""
    if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
        return None
    part = token.split(".")[index]
    try:
        document = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, Mapping) else None


def parse_header(token: str, *, algorithms: Sequence[str], kinds: frozenset[str]) -> TokenHeader:
    """Return the header of a token signed with an allowed algorithm. Raises `LoginRefused`.

    `kinds`: the accepted values of `typ`; a header without `typ` is accepted too (RFC 8725 section
    3.11).
    """
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
    # RFC 8725 section 3.11: `typ` marks a token made for another purpose.
    if kind is not None and str(kind).lower() not in kinds:
        raise LoginRefused(f"token of type `{kind!s:.40}`, which has another purpose")
    if "crit" in header or "b64" in header:
        raise LoginRefused("token has critical extensions")
    if key_id is not None and not isinstance(key_id, str):
        raise LoginRefused("token names its key by something other than a string")
    return TokenHeader(algorithm=algorithm, key_id=key_id)


def digest_of(algorithm: str) -> str:
    """Return the hash that belongs to an algorithm, for `at_hash`."""
    return _ALGORITHMS[algorithm][2]


def suitable_keys(keys: Sequence[Jwk], header: TokenHeader) -> tuple[Jwk, ...]:
    """Return the keys that fit this header: those with its `kid`, or all of the right type when it
    has none. A caller may use one without `kid` only if it is the only one (OpenID Connect Core,
    10.1)."""
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
    """Return the claims of a token whose signature, issuer and audience are right. None skips the
    check of issuer or audience; times are checked by `check_times`.

    Raises `BadSignature` when the signature is wrong, and `LoginRefused` for everything else.
    """
    try:
        return jwt.decode(
            token,
            jwt.PyJWK(dict(key), algorithm=algorithm),
            algorithms=[algorithm],  # one of our own list, never the provider's
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
    """Check `exp`, `iat` and `nbf` with a leeway of `LEEWAY_SECONDS`. Raises `LoginRefused`."""
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
    """Return a NumericDate claim (RFC 7519 section 2) in seconds, or None when it is not a usable
    time. JSON numbers have no limit, and its parser accepts `NaN`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _FAR else None
