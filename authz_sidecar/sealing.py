"""Authenticated encryption ("sealing") and key derivation from the operator's secrets.

The first secret seals and every secret opens, so that a secret can be rotated without an
interruption. A purpose separates the uses: what was sealed for one purpose does not open for
another. Must not know sessions, cookies or URLs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_KEY_BYTES = 32

_VERSION = b"\x01"
_SALT_BYTES = 16
_TAG_BYTES = 16
# Every message has its own key, so the nonce may be constant.
_NONCE = bytes(12)


class KeyedHash:
    """HMAC-SHA256 (RFC 2104) under one key, with both padded key blocks hashed in advance: several
    times as fast as `hmac.digest`, which matters because every check computes some."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def __call__(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


class SecretKeys:
    """The operator's secrets in the order of `secret_keys`: keys derived from them, and sealing.

    Raises `ValueError` when there is none, or when one is shorter than `MIN_KEY_BYTES`. Message
    keys are derived with HKDF-SHA256 (RFC 5869) and HMAC-SHA256; data is sealed with AES-256-GCM.
    """

    __slots__ = ("_derived_keys", "_keys")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one secret key is needed")
        for number, key in enumerate(keys, start=1):
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(
                    f"secret key {number} has {len(key)} bytes, at least {MIN_KEY_BYTES} are needed"
                )
        self._keys = tuple(dict.fromkeys(keys))
        self._derived_keys: dict[str, tuple[KeyedHash, ...]] = {}

    def __repr__(self) -> str:
        return f"SecretKeys({len(self._keys)} keys)"

    def derive(self, purpose: str, *, length: int = 32) -> tuple[bytes, ...]:
        """The keys for a purpose, one for each secret in their order, each of `length` bytes
        (HKDF, RFC 5869). Keys of different purposes are unrelated."""
        return self._derive_keys(f"derive:{purpose}", length)

    def seal(
        self, purpose: str, data: bytes, *, associated_data: bytes = b"", extra_secret: bytes = b""
    ) -> bytes:
        """The data encrypted and authenticated for a purpose.

        `associated_data`: is authenticated and not stored; `open` needs the same value.
        `extra_secret`: becomes part of the key, so that the secret keys alone do not open the
            data.
        """
        salt = os.urandom(_SALT_BYTES)
        key = _derive_message_key(self._sealing_keys(purpose)[0], salt, extra_secret)
        return _VERSION + salt + AESGCM(key).encrypt(_NONCE, data, _VERSION + associated_data)

    def open(
        self,
        purpose: str,
        sealed: bytes,
        *,
        associated_data: bytes = b"",
        extra_secret: bytes = b"",
    ) -> bytes | None:
        """The data that `seal` was given; None when it was not sealed under these keys for this
        purpose, or with other `associated_data` or `extra_secret`, or when it was modified."""
        if len(sealed) < 1 + _SALT_BYTES + _TAG_BYTES or sealed[:1] != _VERSION:
            return None
        salt, ciphertext = sealed[1 : 1 + _SALT_BYTES], sealed[1 + _SALT_BYTES :]
        for sealing_key in self._sealing_keys(purpose):
            key = _derive_message_key(sealing_key, salt, extra_secret)
            try:
                return AESGCM(key).decrypt(_NONCE, ciphertext, _VERSION + associated_data)
            except InvalidTag:
                continue
        return None

    def seal_text(
        self, purpose: str, data: bytes, *, associated_data: bytes = b"", extra_secret: bytes = b""
    ) -> str:
        """As `seal`, in base64url without padding (RFC 4648 section 5), which cookies and URLs
        carry unchanged."""
        sealed = self.seal(
            purpose, data, associated_data=associated_data, extra_secret=extra_secret
        )
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open_text(
        self, purpose: str, sealed: str, *, associated_data: bytes = b"", extra_secret: bytes = b""
    ) -> bytes | None:
        """As `open`, for the text that `seal_text` returned; None for any other spelling of the
        same bytes."""
        data = _decode_strictly(sealed)
        if data is None:
            return None
        return self.open(purpose, data, associated_data=associated_data, extra_secret=extra_secret)

    def _sealing_keys(self, purpose: str) -> tuple[KeyedHash, ...]:
        keys = self._derived_keys.get(purpose)
        if keys is None:
            keys = tuple(map(KeyedHash, self._derive_keys(f"seal:{purpose}", 32)))
            self._derived_keys[purpose] = keys
        return keys

    def _derive_keys(self, info: str, length: int) -> tuple[bytes, ...]:
        return tuple(
            HKDF(
                algorithm=SHA256(), length=length, salt=b"authz-sidecar", info=info.encode()
            ).derive(key)
            for key in self._keys
        )


def _derive_message_key(sealing_key: KeyedHash, salt: bytes, extra_secret: bytes) -> bytes:
    # One key per message: with random nonces, one key is limited to 2**32 messages (NIST SP 800-38D
    # section 8.3), and anonymous clients cause messages to be sealed by starting sign-ins.
    return sealing_key(salt + extra_secret)


def _decode_strictly(text: str) -> bytes | None:
    """The decoded base64url text; None for padding, foreign characters and a non-canonical last
    character."""
    if not text.isascii() or "+" in text or "/" in text:
        return None
    try:
        data = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except binascii.Error:
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii") == text else None
