"""The headers that a proxy's files remove: all that no client may bring, less those that are set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.untrusted_headers import NAMES, PREFIXES, removed_names
from authz_sidecar.snippets.edit import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.snippets.edit import Text


def with_removals(text: Text, headers: tuple[str, ...], line: Callable[[str], str]) -> Text:
    """A file that removes exact names, one a line, for `headers` instead of the example's; `line` is
    how it removes one."""
    before, after = removed_names(EXAMPLE), removed_names(headers)
    added = tuple(name for name in after if name not in before)
    if added:
        anchor = next(name for name in reversed(before) if line(name) in text.content)
        text = text.after_line(line(anchor), *map(line, added))
    gone = (line(name) for name in before if name not in after)
    return text.without_lines(*(each for each in gone if each in text.content))


def unlisted(headers: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `headers` that are not removed by their exact names anyway."""
    names = frozenset(name.lower() for name in NAMES)
    return tuple(header for header in headers if header.lower() not in names)


def not_removed(headers: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `headers` that a proxy does not remove by their names or families anyway."""
    prefixes = tuple(prefix.lower() for prefix in PREFIXES)
    return tuple(name for name in unlisted(headers) if not name.lower().startswith(prefixes))
