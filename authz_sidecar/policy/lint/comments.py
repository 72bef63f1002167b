"""Comments that take a finding away: `# lint: ignore[AZ101]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_COMMENT = re.compile(r"#\s*lint:\s*ignore\[([A-Z0-9,\s]*)\]")

Lines = Callable[[str], Sequence[str]]
"""The lines of a file by its name."""


def is_ignored(code: str, *, file: str, line: int, lines: Lines) -> bool:
    """Whether a comment on the line, or alone on the line above it, takes this code away."""
    text = lines(file)
    own = text[line - 1] if 0 < line <= len(text) else ""
    above = text[line - 2] if 1 < line <= len(text) + 1 else ""
    comments = [own, above if above.lstrip().startswith("#") else ""]
    return any(
        code in {each.strip() for each in found[1].split(",")}
        for comment in comments
        for found in _COMMENT.finditer(comment)
    )
