"""How much memory a session takes, near enough to bound it, in a few microseconds.

The sizes are CPython's on 64 bits; a test compares them with what is really allocated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.core.types import Session

_SESSION = 500  # the entry, its cookie, the session and the identity, and their places in tables
_NAME = 150  # one name under which the entry is found when something changes
_TEXT = 52
_LIST = 64
_MAPPING = 184
_PLACE = 8
_PAIR = 40  # of a mapping; its key is shared with everybody else's


def weight(session: Session, *, names: int) -> int:
    who = session.identity
    own = (session.provider_session, who.subject, who.email, who.name, who.amr, who.claims)
    # Groups are shared, as scope, provider and issuer are.
    shared = _LIST + _PLACE * len(who.groups)
    return _SESSION + _NAME * names + shared + _all(own)


def _of(value: object) -> int:
    if isinstance(value, str):
        return _TEXT + len(value)
    if isinstance(value, dict):
        return _MAPPING + _PAIR * len(value) + _all(value.values())
    if isinstance(value, list | tuple):
        return _LIST + _PLACE * len(value) + _all(value)
    return 0 if value is None or isinstance(value, bool) else 32


def _all(values: Iterable[object]) -> int:
    total = 0
    for value in values:
        total += _TEXT + len(value) if isinstance(value, str) else _of(value)
    return total
