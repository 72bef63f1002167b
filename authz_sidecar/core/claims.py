"""How a configuration points to a claim: by its name, or by a path with dots into it.

Names may have dots themselves (`kubernetes.io`, `https://example.com/groups`), so one rule says
what a dot is: a claim whose name is the whole path comes first; otherwise the claim with the
longest name that begins the path is followed, in the same way, and no other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeGuard

_CLIENT_ID_PLACEHOLDER = "{client_id}"
TRUE_TEXTS = frozenset({"true", "1"})
_EMAIL = re.compile(r"[^\s@,;<>()\x00-\x1f\x7f]{1,64}@[^\s@,;<>()\x00-\x1f\x7f]{1,255}")


def find_claim(claims: Mapping[str, object], path: str, *, client_id: str | None = None) -> object:
    """Returns the value at `path`, or None when the path leads nowhere.

    A part that is `{client_id}` stands for `client_id`, dots included, if one is given.
    """
    return _resolve(claims, _split_path(path, client_id))


def candidate_claim_names(path: str, *, client_id: str | None = None) -> frozenset[str]:
    """Returns the names of all claims that a path can lead to or into."""
    parts = _split_path(path, client_id)
    return frozenset(".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _split_path(path: str, client_id: str | None) -> tuple[str, ...]:
    parts = path.split(".")
    if client_id is None:
        return tuple(parts)
    return tuple(client_id if part == _CLIENT_ID_PLACEHOLDER else part for part in parts)


def _resolve(claims: Mapping[str, object], parts: tuple[str, ...]) -> object:
    name = ".".join(parts)
    if name in claims:
        return claims[name]
    for end in range(len(parts) - 1, 0, -1):
        nested = claims.get(".".join(parts[:end]))
        if isinstance(nested, Mapping):
            return _resolve(nested, parts[end:])
    return None


def text_values(value: object) -> tuple[str, ...]:
    """Returns the strings and numbers of a claim that lists names, or its single string, as text
    without doubles."""
    values = value if isinstance(value, list) else [value]
    texts = (
        str(item)
        for item in values
        if isinstance(item, str | int) and not isinstance(item, bool) and item != ""
    )
    return tuple(dict.fromkeys(texts))


def is_email_address(value: object) -> TypeGuard[str]:
    """Whether `value` is one e-mail address: two `@` or white space would let one address pass for
    another."""
    return isinstance(value, str) and _EMAIL.fullmatch(value) is not None


def is_email_unverified(claims: Mapping[str, object]) -> bool:
    """Whether the claims say that their e-mail address is not verified (OpenID Connect Core, 5.1)."""
    return str(claims.get("email_verified", "true")).lower() not in TRUE_TEXTS
