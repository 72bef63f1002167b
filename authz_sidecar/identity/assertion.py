"""The signed statement of who the user is, for applications that verify rather than trust.

Claims and shape as Pomerium's `X-Pomerium-Jwt-Assertion`, so that its client libraries accept it:
a JWT (RFC 7519) signed with ES256, its key named by thumbprint (RFC 7638).
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
# Shares of the lifetime that are left when a new one is signed, and when none is handed out any
# more that has not been renewed by then.
_RENEWAL_SHARE = 0.2
_MIN_USABLE_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    private_key: ec.EllipticCurvePrivateKey
    key_id: str
    public_jwk: Mapping[str, str]


def signing_key_from_pem(pem: bytes) -> SigningKey:
    """Raises `ValueError` unless it is an unencrypted P-256 private key."""
    try:
        private_key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        # What the library says quotes the file and its own documentation.
        raise ValueError("not a private key in PEM") from error
    if (
        not isinstance(private_key, ec.EllipticCurvePrivateKey)
        or private_key.curve.name != "secp256r1"
    ):
        raise ValueError("not an EC private key on P-256")
    return _build_signing_key(private_key)


def derive_signing_keys(secret_keys: SecretKeys) -> tuple[SigningKey, ...]:
    """One for each secret, so that a rotation of secrets publishes the old key as well."""
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
    """Signs once per session and host, and again when a fifth of the lifetime is left.

    `keys`: the first signs, all are published. `ttl` is in seconds. `group_filter` chooses the
    groups that the host hears of, `extra_claims` are what it is told beyond the usual.
    `run_when_idle` calls something as soon as nobody waits for an answer; without it, renewals are
    waited for.
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
        now, key = self._clock(), (session.public_id, origin)
        cached = self._cache.get(key)
        # The session is compared whole: after a refresh its claims may be others.
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
        """The assertion, and the instant at which it expires."""
        token = self.assertion_for(session, origin)
        return token, self._cache[session.public_id, origin].expires_at

    def stable_until(self, session: Session, origin: Origin) -> float:
        """The instant from which on another assertion may be given than now."""
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
        """RFC 7517 section 5."""
        return {"keys": [key.public_jwk for key in self._keys]}

    def _sign(self, session: Session, origin: Origin, *, now: float) -> str:
        identity = session.identity
        issued_at = int(now)
        extra = {name: claim_to_text(identity.claims.get(name)) for name in self._extra_claims}
        claims = {name: text for name, text in extra.items() if text} | {
            # The host, and its port where that is not the default: what was said to one
            # application is not believed by its neighbour.
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
