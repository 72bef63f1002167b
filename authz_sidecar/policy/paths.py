"""The path as rules compare it: percent-escapes decoded once, separators kept apart from data.

`%2f` and `%5c` stay escapes: whether they separate segments differs between interpretations, and
the caller decides about each interpretation.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_SEPARATOR = re.compile(rb"(?i)(%2f|%5c)")


def decode_path(path: str) -> str:
    """Returns the decoded path. Never fails: bytes that are not UTF-8 become lone surrogates, which
    no rule contains."""
    if "%" not in path:
        return path
    pieces = _SEPARATOR.split(path.encode("utf-8", "surrogateescape"))
    joined = b"".join(
        piece.lower() if index % 2 else unquote_to_bytes(piece)
        for index, piece in enumerate(pieces)
    )
    return joined.decode("utf-8", "surrogateescape")
