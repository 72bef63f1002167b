"""Nonces for DPoP proofs (RFC 9449 section 9) that need no memory: a time, and our word for it."""

from __future__ import annotations

import hmac
import math
from typing import TYPE_CHECKING

from authz_sidecar.core.base64url import base64url
from authz_sidecar.sealing import KeyedHash
from authz_sidecar.tokens.settings import NONCE_SECONDS

if TYPE_CHECKING:
    from authz_sidecar.sealing import SecretKeys


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
