"""The password file, with bcrypt or Argon2id hashes. These are slow on purpose: they must not be
verified on the event loop.

An unknown user takes as long as a known one, so that the time reveals neither.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import bcrypt
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

if TYPE_CHECKING:
    from collections.abc import Mapping

_BCRYPT_BYTES = 72


@dataclass(frozen=True, slots=True)
class PasswordFile:
    """The users of a password file. `hashes` by user, at least one, in a form that the
    configuration checked."""

    hashes: Mapping[str, str] = field(repr=False)

    def stored_hash(self, user: str) -> str:
        """Return the user's hash; for an unknown user, one of another user."""
        if (stored := self.hashes.get(user)) is not None:
            return stored
        all_hashes = tuple(self.hashes.values())
        return all_hashes[zlib.crc32(user.encode()) % len(all_hashes)]

    def matches(self, user: str, password: bytes) -> bool:
        """Whether this is the user's password. Takes a good part of a second."""
        is_correct = verify_password(self.stored_hash(user), password)
        return is_correct and user in self.hashes


def verify_password(stored_hash: str, password: bytes) -> bool:
    """Whether the password matches the hash. Takes a good part of a second."""
    if stored_hash.startswith("$argon2id$"):
        try:
            Argon2id.verify_phc_encoded(password, stored_hash)
        except InvalidKey:
            return False
        return True
    # bcrypt ignores bytes beyond the 72nd: a longer password is refused, rather than equal to
    # another one.
    is_correct = bcrypt.checkpw(password[:_BCRYPT_BYTES], stored_hash.encode())
    return is_correct and len(password) <= _BCRYPT_BYTES
