"""Signed assertions of a user's identity, for applications that verify a signature.

The claims are those of Pomerium's `X-Pomerium-Jwt-Assertion`, so that its client libraries accept
them: a JWT (RFC 7519) signed with ES256 (RFC 7518 section 3.4), whose key ID is the key's JWK
thumbprint (RFC 7638). Decides claims, keys and renewal; must not know how a header is sent.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz_sidecar.core.encoding import base64url_encode
from authz_sidecar.identity.headers import claim_to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.sealing import SecretKeys

_PURPOSE = "assertion signing key"
# NIST SP 800-56A section 5.6.1.2.1: 64 bits more than the order make the bias negligible.
_SCALAR_BYTES = 40
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_COORDINATE_BYTES = 32
_MAX_CACHED = 10_000
# Remaining shares of the lifetime: at which an assertion is renewed, and below which it is not
# handed out any more.
_RENEWAL_SHARE = 0.2
_MIN_USABLE_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An EC key on P-256 that signs assertions.

    `key_id`: the JWK thumbprint of the key (RFC 7638), in hexadecimal.
    `public_jwk`: the public key as JWK (RFC 7517 section 4), as the key set publishes it.
    """

    private_key: ec.EllipticCurvePrivateKey
    key_id: str
    public_jwk: Mapping[str, str]


def signing_key_from_pem(pem: bytes) -> SigningKey:
    """The signing key in a PEM file. Raises `ValueError` unless it is an unencrypted private key
    on P-256."""
    try:
        private_key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        # The library's message quotes the file and its own documentation.
        raise ValueError("not a private key in PEM") from error
    if (
        not isinstance(private_key, ec.EllipticCurvePrivateKey)
        or private_key.curve.name != "secp256r1"
    ):
        raise ValueError("not an EC private key on P-256")
    return _build_signing_key(private_key)


def derive_signing_keys(secret_keys: SecretKeys) -> tuple[SigningKey, ...]:
    """The signing keys derived from the operator's secrets, one for each secret in their order, so
    that the key set publishes the old key too while a secret is rotated."""
    return tuple(
        _build_signing_key(ec.derive_private_key(_to_p256_scalar(material), ec.SECP256R1()))
        for material in secret_keys.derive(_PURPOSE, length=_SCALAR_BYTES)
    )


def _to_p256_scalar(material: bytes) -> int:
    return int.from_bytes(material, "big") % (_P256_ORDER - 1) + 1


def _build_signing_key(private_key: ec.EllipticCurvePrivateKey) -> SigningKey:
    numbers = private_key.public_key().public_numbers()
    # RFC 7638 section 3.2: the required members in lexicographic order, no white space.
    required = {
        "crv": "P-256",
        "kty": "EC",
        "x": base64url_encode(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
        "y": base64url_encode(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
    }
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    key_id = hashlib.sha256(canonical).hexdigest()
    public_jwk = required | {"kid": key_id, "alg": "ES256", "use": "sig"}
    return SigningKey(private_key=private_key, key_id=key_id, public_jwk=public_jwk)


@dataclass(frozen=True, slots=True)
class _CachedAssertion:
    session: Session
    token: str
    expires_at: float
    renew_at: float
    usable_until: float


class AssertionSigner:
    """Signs one assertion per session and host, and a new one when a fifth of its lifetime is
    left.

    `keys`: the first one signs, all of them are published.
    `ttl`: lifetime of an assertion, in seconds.
    `group_filter`: selects the groups that the assertion for a host contains.
    `clock`: the time of day, in seconds since the epoch.
    `extra_claims`: names of claims that are copied from the identity besides the fixed ones.
    `run_when_idle`: schedules a call for when the event loop is idle. Without it, the request that
        needs a new assertion waits for the signature.
    """

    def __init__(
        self,
        keys: Sequence[SigningKey],
        *,
        ttl: float,
        group_filter: Callable[[Identity, Origin], tuple[str, ...]],
        clock: Callable[[], float],
        extra_claims: Iterable[str] = (),
        run_when_idle: Callable[[Callable[[], object]], object] | None = None,
    ) -> None:
        self._keys = tuple(keys)
        self._extra_claims = tuple(dict.fromkeys(extra_claims))
        self._ttl = ttl
        self._group_filter = group_filter
        self._clock = clock
        self._run_when_idle = run_when_idle
        self._cache: OrderedDict[tuple[str, Origin], _CachedAssertion] = OrderedDict()
        self._renewing: set[tuple[str, Origin]] = set()

    def assertion_for(self, session: Session, origin: Origin) -> str:
        """The assertion for a session on a host, as JWT in compact form (RFC 7515 section 3.1);
        cached."""
        now, key = self._clock(), (session.public_id, origin)
        cached = self._cache.get(key)
        # The whole session is compared: a refresh may have changed its claims.
        if cached is not None and cached.session == session:
            if now < cached.renew_at:
                return cached.token
            if now < cached.usable_until and self._run_when_idle is not None:
                if key not in self._renewing:
                    self._renewing.add(key)
                    self._run_when_idle(lambda: self._renew(session, origin))
                return cached.token
        return self._renew(session, origin)

    def assertion_and_expiry(self, session: Session, origin: Origin) -> tuple[str, float]:
        """The assertion for a session on a host, and when it expires, in seconds since the
        epoch."""
        token = self.assertion_for(session, origin)
        return token, self._cache[session.public_id, origin].expires_at

    def stable_until(self, session: Session, origin: Origin) -> float:
        """When `assertion_for` may return a different assertion, in seconds since the epoch; minus
        infinity when it has none for this session yet."""
        cached = self._cache.get((session.public_id, origin))
        is_current = cached is not None and cached.session == session
        return cached.renew_at if cached is not None and is_current else float("-inf")

    def _renew(self, session: Session, origin: Origin) -> str:
        now, key = self._clock(), (session.public_id, origin)
        self._renewing.discard(key)
        token = self._sign(session, origin, now=now)
        self._cache[key] = _CachedAssertion(
            session,
            token,
            expires_at=float(int(now) + int(self._ttl)),
            renew_at=now + self._ttl * (1 - _RENEWAL_SHARE),
            usable_until=now + self._ttl * (1 - _MIN_USABLE_SHARE),
        )
        self._cache.move_to_end(key)
        if len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)
        return token

    def jwks(self) -> dict[str, list[Mapping[str, str]]]:
        """The public keys as JWK set (RFC 7517 section 5)."""
        return {"keys": [key.public_jwk for key in self._keys]}

    def _sign(self, session: Session, origin: Origin, *, now: float) -> str:
        identity = session.identity
        issued_at = int(now)
        extra = {name: claim_to_text(identity.claims.get(name)) for name in self._extra_claims}
        claims = {name: text for name, text in extra.items() if text} | {
            # The host, and its port where that is not the default: another application must not
            # accept this assertion.
            "iss": origin.authority,
            "aud": origin.authority,
            "jti": secrets.token_urlsafe(16),
            "iat": issued_at,
            "exp": issued_at + int(self._ttl),
            "sub": identity.subject,
            "user": identity.subject,
            "email": identity.email or "",
            "groups": list(self._group_filter(identity, origin)),
            "sid": session.public_id,
            "name": identity.name or "",
        }
        signing_key = self._keys[0]
        return jwt.encode(
            claims, signing_key.private_key, algorithm="ES256", headers={"kid": signing_key.key_id}
        )
