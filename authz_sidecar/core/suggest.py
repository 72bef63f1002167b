"""Messages about unknown names, with a suggestion for a mistyped one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_LISTED = 40


def unknown_name_message(kind: str, name: object, known_names: Iterable[str]) -> str:
    """Returns the message that `name` is an unknown `kind`, with the closest known name if there is
    one."""
    return _format_message(kind, str(name)[:100], tuple(sorted(known_names)))


@lru_cache(maxsize=256)
def _format_message(kind: str, name: str, known_names: tuple[str, ...]) -> str:
    """Cached, because the same mistake is often copied many times."""
    from difflib import get_close_matches  # noqa: PLC0415 - most have no mistake

    close = get_close_matches(name.lower(), known_names, n=1)
    if close:
        return f"unknown {kind} `{name}`: did you mean `{close[0]}`?"
    if len(known_names) > _MAX_LISTED:
        return f"unknown {kind} `{name}`"
    return f"unknown {kind} `{name}`: expected one of {', '.join(known_names)}"
