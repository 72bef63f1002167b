"""The headers that a proxy's files remove: those that no client may send and that are not set
anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.untrusted_headers import UNTRUSTED_NAMES, UNTRUSTED_PREFIXES, removed_names
from authz_sidecar.snippets.edit import EXAMPLE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.snippets.edit import TextFile


def with_removals(
    text: TextFile, headers: tuple[str, ...], format_line: Callable[[str], str]
) -> TextFile:
    """Return a file that removes exact names, one on a line, with `headers` in the place of the
    example's. `format_line` returns the line for one name."""
    before, after = removed_names(EXAMPLE_HEADERS), removed_names(headers)
    added = tuple(name for name in after if name not in before)
    if added:
        anchor = next(name for name in reversed(before) if format_line(name) in text.content)
        text = text.insert_after_line(format_line(anchor), *map(format_line, added))
    obsolete = (format_line(name) for name in before if name not in after)
    return text.without_lines(*(text_line for text_line in obsolete if text_line in text.content))


def without_listed(headers: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of `headers` that are not among the exact names removed anyway."""
    names = frozenset(name.lower() for name in UNTRUSTED_NAMES)
    return tuple(header for header in headers if header.lower() not in names)


def without_removed(headers: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of `headers` that are not removed anyway, by name or by prefix."""
    prefixes = tuple(prefix.lower() for prefix in UNTRUSTED_PREFIXES)
    return tuple(name for name in without_listed(headers) if not name.lower().startswith(prefixes))
