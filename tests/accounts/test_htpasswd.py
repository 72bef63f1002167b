"""Passwords against bcrypt and Argon2id: right, wrong, of nobody, and too long to tell."""

from __future__ import annotations

import bcrypt
import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from authz_sidecar.accounts.htpasswd import PasswordFile, verify_password
from authz_sidecar.config.checks.passwords import parse_password_file

BCRYPT = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
LONG = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
ARGON2 = Argon2id(
    salt=b"0123456789abcdef", length=32, iterations=1, lanes=1, memory_cost=64
).derive_phc_encoded("zażółć".encode())
FILE = PasswordFile({"alice": BCRYPT, "bob": ARGON2})


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [
        pytest.param("alice", "open sesame", True, id="bcrypt"),
        pytest.param("alice", "open sesame ", False, id="bcrypt, wrong"),
        pytest.param("alice", "", False, id="bcrypt, empty"),
        pytest.param("bob", "zażółć", True, id="argon2id"),
        pytest.param("bob", "zazolc", False, id="argon2id, wrong"),
        pytest.param("bob", "open sesame", False, id="another's"),
        pytest.param("carol", "open sesame", False, id="nobody, with somebody's password"),
        pytest.param("dave", "zażółć", False, id="nobody, with the other's"),
        pytest.param("", "open sesame", False, id="no name"),
    ],
)
def test_passwords(user: str, password: str, right: bool) -> None:  # noqa: FBT001
    assert FILE.matches(user, password.encode()) is right


def test_bytes_that_bcrypt_would_not_see_are_no_second_spelling() -> None:
    assert verify_password(LONG, b"x" * 72)
    assert not verify_password(LONG, b"x" * 73)
    assert not verify_password(LONG, b"x" * 71)


def test_nobody_is_compared_with_somebodys_hash() -> None:
    assert {FILE.stored_hash(f"nobody-{n}") for n in range(50)} == {BCRYPT, ARGON2}
    assert FILE.stored_hash("alice") == BCRYPT


def test_hashes_made_elsewhere_are_read() -> None:
    hashes, problems = parse_password_file(f"# people\nalice:{BCRYPT}\n\nbob:{ARGON2}\r\n")
    assert (hashes, problems) == (dict(FILE.hashes), ())
    assert BCRYPT not in repr(FILE)
