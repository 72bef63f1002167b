"""A password file as `htpasswd -B` writes it: who is in it, and with which hash.

Decides which hashes are good enough to guard anything: bcrypt and Argon2id, and none that would take
more time or memory than a service has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authz_sidecar.config.checks.headers import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import BasicAuth, Config
    from authz_sidecar.core.source_locations import Found

MOST_USERS = 10_000
MOST_MEMORY_KIB = 256 * 1024
MOST_PASSES = 64

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53}")
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,6}),t=([1-9]\d?),p=([1-9]\d?)"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)
# RFC 7617 section 2: a user-id contains no colon, and nothing a control character.
_USER = re.compile(r"[^\x00-\x20:\x7f-\x9f]{1,128}")
_REALM = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}")
# Who vouches for our own accounts is called so in policies and logs.
_RESERVED = frozenset({"service-account", "htpasswd"})
_WEAK = (
    ("$apr1$", "MD5"),
    ("$1$", "MD5"),
    ("{SHA}", "unsalted SHA-1"),
    ("{SSHA}", "SHA-1"),
    ("$5$", "SHA-256 crypt"),
    ("$6$", "SHA-512 crypt"),
)


def account_problems(config: Config) -> Iterator[Found]:
    """Of the keys about accounts of our own."""
    for section in ("identity_providers", "token_issuers"):
        for name in _RESERVED & getattr(config, section).keys():
            yield "this name is taken by our own accounts, choose another", (section, name)
    if config.basic_auth is not None:
        yield from _users(config.basic_auth)
    for at, route in enumerate(config.routes):
        if not route.basic_auth:
            continue
        if config.basic_auth is None:
            yield "needs a password file, `basic_auth.users`", ("routes", at, "basic_auth")
        place = place_of(route)
        if place is not None and place.scheme == "http" and not place.is_loopback:
            # RFC 7617 section 4: whoever is on the way reads the password.
            yield (
                "sends passwords in the clear on `http://`, it is for `https://` routes",
                ("routes", at, "basic_auth"),
            )


def _users(settings: BasicAuth) -> Iterator[Found]:
    users, wrong = read_password_file(settings.users.reveal())
    for problem in wrong:
        yield problem, ("basic_auth", "users")
    if not _REALM.fullmatch(settings.realm):
        yield "is visible ASCII without quotation marks", ("basic_auth", "realm")
    for group, names in settings.groups.items():
        for at, name in enumerate(names):
            if not wrong and name not in users:
                yield f"`{name}` is not in the password file", ("basic_auth", "groups", group, at)


def read_password_file(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The hashes by user, and what is wrong, line by line; no hash is repeated in it."""
    hashes: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, stored = line.rstrip().partition(":")
        if not colon or not _USER.fullmatch(user):
            problems.append(f"line {number} is not `user:hash`")
        elif user in hashes:
            problems.append(f"line {number}: `{user}` is there already")
        elif problem := _problem(stored):
            problems.append(f"line {number}: `{user}` {problem}")
        else:
            hashes[user] = stored
    if not hashes and not problems:
        problems.append("has no users")
    if len(hashes) > MOST_USERS:
        problems.append(f"has {len(hashes)} users, {MOST_USERS} at most are taken")
    return hashes, tuple(problems)


def _problem(stored: str) -> str | None:
    if _BCRYPT.fullmatch(stored):
        return None
    if read := _ARGON2.fullmatch(stored):
        memory, passes, lanes = map(int, read.groups())
        if memory > MOST_MEMORY_KIB or passes > MOST_PASSES or memory < 8 * lanes:
            return (
                "has Argon2id parameters that are not taken:"
                f" m is 8p to {MOST_MEMORY_KIB}, t up to {MOST_PASSES}"
            )
        return None
    for start, kind in _WEAK:
        if stored.startswith(start):
            return f"has a hash of {kind}, which is guessed in no time; `htpasswd -B` makes a better one"
    return "has a hash that is neither bcrypt (`htpasswd -B`) nor Argon2id"
