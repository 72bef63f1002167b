"""Rules about `basic_auth`, and the parser of its password file as `htpasswd -B` writes it.

Decides which hashes are accepted: bcrypt and Argon2id, with bounded time and memory.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authz_sidecar.config.checks.headers import route_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import BasicAuth, Config
    from authz_sidecar.core.source_locations import RuleViolation

MAX_USERS = 10_000
MAX_ARGON2_MEMORY_KIB = 256 * 1024
MAX_ARGON2_ITERATIONS = 64

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}")
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=([1-9]\d?),p=([1-9]\d?)"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)
# RFC 7617 section 2: a user-id contains no colon, and nothing a control character.
_USER_ID = re.compile(r"[^\x00-\x20:\x7f-\x9f]{1,128}")
_REALM = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}")
# The providers of our own accounts, as policies and logs name them.
_RESERVED_NAMES = frozenset({"service-account", "htpasswd"})
_WEAK_HASHES = (
    ("$apr1$", "MD5"),
    ("$1$", "MD5"),
    ("{SHA}", "unsalted SHA-1"),
    ("{SSHA}", "SHA-1"),
    ("$5$", "SHA-256 crypt"),
    ("$6$", "SHA-512 crypt"),
)


def check_accounts(config: Config) -> Iterator[RuleViolation]:
    """Return what is wrong with `basic_auth`, the routes that use it, and reserved names."""
    for section in ("identity_providers", "token_issuers"):
        for name in _RESERVED_NAMES & getattr(config, section).keys():
            yield (
                "this name is reserved for accounts of the sidecar, choose another",
                (section, name),
            )
    if config.basic_auth is not None:
        yield from _check_users(config.basic_auth)
    for index, route in enumerate(config.routes):
        if not route.basic_auth:
            continue
        if config.basic_auth is None:
            yield "needs a password file, `basic_auth.users`", ("routes", index, "basic_auth")
        origin = route_origin(route)
        if origin is not None and origin.scheme == "http" and not origin.is_loopback:
            # RFC 7617 section 4: the password can be read in transit.
            yield (
                "would send passwords unencrypted: use it on `https://` routes only",
                ("routes", index, "basic_auth"),
            )


def _check_users(settings: BasicAuth) -> Iterator[RuleViolation]:
    users, problems = parse_password_file(settings.users.reveal())
    for problem in problems:
        yield problem, ("basic_auth", "users")
    if not _REALM.fullmatch(settings.realm):
        yield "must be visible ASCII without quotation marks", ("basic_auth", "realm")
    for group, names in settings.groups.items():
        for index, name in enumerate(names):
            if not problems and name not in users:
                yield (
                    f"`{name}` is not in the password file",
                    ("basic_auth", "groups", group, index),
                )


def parse_password_file(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the hashes by user, and the problems by line. No problem repeats a hash."""
    hashes: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password_hash = line.rstrip().partition(":")
        if not colon or not _USER_ID.fullmatch(user):
            problems.append(f"line {number} is not `user:hash`")
        elif user in hashes:
            problems.append(f"line {number}: `{user}` is listed already")
        elif problem := _hash_problem(password_hash):
            problems.append(f"line {number}: `{user}` {problem}")
        else:
            hashes[user] = password_hash
    if not hashes and not problems:
        problems.append("has no users")
    if len(hashes) > MAX_USERS:
        problems.append(f"has {len(hashes)} users, at most {MAX_USERS} are allowed")
    return hashes, tuple(problems)


def _hash_problem(password_hash: str) -> str | None:
    if _BCRYPT.fullmatch(password_hash):
        return None
    if match := _ARGON2.fullmatch(password_hash):
        memory, iterations, parallelism = map(int, match.groups())
        if (
            memory > MAX_ARGON2_MEMORY_KIB
            or iterations > MAX_ARGON2_ITERATIONS
            or memory < 8 * parallelism
        ):
            return (
                "has Argon2id parameters that are not accepted:"
                f" m is 8p to {MAX_ARGON2_MEMORY_KIB}, t up to {MAX_ARGON2_ITERATIONS}"
            )
        return None
    for prefix, kind in _WEAK_HASHES:
        if password_hash.startswith(prefix):
            return (
                f"has a {kind} hash, which is too easy to crack; `htpasswd -B` makes a better one"
            )
    return "has a hash that is neither bcrypt (`htpasswd -B`) nor Argon2id"
