"""Whether a password is a user's, by bcrypt or Argon2id. Slow on purpose, which is the whole point of
these hashes: nobody may wait for it on the event loop.

Whoever is not in the file costs as much as whoever is, so that the time taken tells neither.
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
    """`hashes` by user, at least one, each of a form that the configuration has let pass."""

    hashes: Mapping[str, str] = field(repr=False)

    def stored_hash(self, user: str) -> str:
        """The hash that a password of this user is compared with, whether there is such a user or
        not: then it is one of the others'."""
        if (stored := self.hashes.get(user)) is not None:
            return stored
        all_hashes = tuple(self.hashes.values())
        return all_hashes[zlib.crc32(user.encode()) % len(all_hashes)]

    def matches(self, user: str, password: bytes) -> bool:
        is_correct = verify_password(self.stored_hash(user), password)
        return is_correct and user in self.hashes


def verify_password(stored_hash: str, password: bytes) -> bool:
    """Takes a good part of a second."""
    if stored_hash.startswith("$argon2id$"):
        try:
            Argon2id.verify_phc_encoded(password, stored_hash)
        except InvalidKey:
            return False
        return True
    # Bytes beyond the 72nd do not count for bcrypt: a password that has some is nobody's, rather
    # than the same as another one.
    is_correct = bcrypt.checkpw(password[:_BCRYPT_BYTES], stored_hash.encode())
    return is_correct and len(password) <= _BCRYPT_BYTES
