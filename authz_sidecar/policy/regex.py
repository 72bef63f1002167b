"""Regular expressions in linear time (RE2), whatever the pattern and the input.

The only module that imports the engine. A pattern always has to match the whole value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import re2  # type: ignore[import-untyped]

MAX_PATTERN_LENGTH = 1000
_MEMORY = 1 << 20  # bytes a compiled pattern may take; the engine's own default is eight times that


class RegexError(ValueError):
    """A pattern that is refused; the message says why."""


def compile_full_match(pattern: str, *, ignore_case: bool = False) -> Callable[[str], bool]:
    """Returns a predicate that says whether the pattern matches a whole string. Raises
    `RegexError`."""
    compiled = _compiled(pattern, ignore_case=ignore_case)

    def matches(value: str) -> bool:
        # The engine takes UTF-8; a lone surrogate must not make encoding fail.
        return compiled.fullmatch(value.encode("utf-8", "surrogatepass")) is not None

    return matches


def _compiled(pattern: str, *, ignore_case: bool) -> re2._Regexp:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise RegexError(f"is a pattern of more than {MAX_PATTERN_LENGTH} characters")
    # An anchor says that its author expected a search. Refusing it says so, and keeps out
    # patterns that meant something else where they were copied from.
    if pattern.startswith("^") or (pattern.endswith("$") and not pattern.endswith(r"\$")):
        raise RegexError("always matches the whole value: leave out `^` and `$`")
    # Imported here: most configurations have no pattern, and the engine takes 2.5 MiB a worker.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = _MEMORY
    options.dot_nl = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "unknown"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise RegexError(f"is not a pattern: {text}") from None
