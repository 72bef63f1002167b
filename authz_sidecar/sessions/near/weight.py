"""How much memory a session takes, near enough to bound it, in a few microseconds.

The sizes are CPython's on 64 bits; a test compares them with what is really allocated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session

_SESSION = 1300  # the entry, its cookie, the session and the identity, and their places in tables
_NAME = 190  # one name under which the entry is found when something changes
_TEXT = 56
_PLACE = 8
_PAIR = 104  # of a mapping, whose key is shared with everybody else's


def weight(session: Session, *, names: int) -> int:
    who = session.identity
    texts = (session.scope, session.provider_session, who.subject, who.email, who.name)
    return (
        _SESSION
        + _NAME * names
        + sum(map(_of, texts))
        + _of(who.groups)
        + _of(who.amr)
        + _of(who.claims)
    )


def _of(value: object) -> int:
    if isinstance(value, str):
        return _TEXT + len(value)
    if isinstance(value, dict):
        return _TEXT + _PAIR * len(value) + sum(map(_of, value.values()))
    if isinstance(value, list | tuple):
        return _TEXT + _PLACE * len(value) + sum(map(_of, value))
    return 0 if value is None or isinstance(value, bool) else 32
