"""How a mistyped name is pointed out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_LISTED = 40


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """A message that an unknown `name` was used as a `what`, with the likely one when there is one."""
    return _unknown(what, str(name)[:100], tuple(sorted(known)))


@lru_cache(maxsize=256)
def _unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    """A mistake that was made once is often copied many times."""
    from difflib import get_close_matches  # noqa: PLC0415 - most have no mistake

    close = get_close_matches(name.lower(), known, n=1)
    if close:
        return f"unknown {what} `{name}`: did you mean `{close[0]}`?"
    if len(known) > _MOST_LISTED:
        return f"unknown {what} `{name}`"
    return f"unknown {what} `{name}`: known are {', '.join(known)}"
