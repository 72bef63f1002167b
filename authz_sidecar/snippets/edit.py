"""Edits of a text that fail if their target is missing, so that `deploy/` and the snippets cannot
diverge."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

EXAMPLE_HEADERS = (
    "X-Auth-User",
    "X-Auth-Email",
    "X-Auth-Groups",
    "X-Auth-Name",
    "X-Auth-Assertion",
)
"""The identity headers that the files of `deploy/` are written with."""

_HEADER_SUFFIX = "(user|email|groups|name|assertion)"
_MENTION = re.compile(
    rf"(?:x-auth-{_HEADER_SUFFIX}|x_auth_{_HEADER_SUFFIX}|authz_{_HEADER_SUFFIX}|@{_HEADER_SUFFIX})(?![\w-])",
    re.IGNORECASE,
)
# A mention in a column: what is glued to it, and the blanks up to the next one.
_CELL = re.compile(rf"({_MENTION.pattern})([)\]]*)( {{2,}})?", re.IGNORECASE)

# Names that the files use for something else.
_RESERVED_VARIABLES = frozenset({
    "asking", "check", "connection", "cookie", "host_differs", "pages", "passed", "plain", "reason",
    "set_cookie", "unavailable", "upgrade", "web", "websocket",
})  # fmt: skip


class DriftError(AssertionError):
    """A file of `deploy/` is not as an edit expects it."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """A named text; every edit returns a new one and raises `DriftError` if its target is
    missing."""

    name: str
    content: str

    def replace(self, old: str, new: str) -> Self:
        """Return the text with every `old` replaced. Raises `DriftError` if there is none."""
        if old not in self.content:
            raise DriftError(f"`{old}` does not occur in {self.name}")
        return type(self)(self.name, self.content.replace(old, new))

    def without_lines(self, *containing: str) -> Self:
        """Return the text without the lines that contain one of the given texts. Raises
        `DriftError` if one of them does not occur."""
        lines = self.content.splitlines(keepends=True)
        for text in containing:
            if not any(text in line for line in lines):
                raise DriftError(f"`{text}` does not occur in {self.name}")
        remaining = [line for line in lines if not any(text in line for text in containing)]
        return type(self)(self.name, "".join(remaining))

    def insert_after_line(self, containing: str, *new: str) -> Self:
        """Return the text with `new` lines below the first line that contains a text, with its
        indentation. Raises `DriftError` if there is none."""
        lines = self.content.splitlines(keepends=True)
        index = self._find_line(containing, lines)
        indentation = _indentation(lines[index])
        lines[index + 1 : index + 1] = [f"{indentation}{line}\n" for line in new]
        return type(self)(self.name, "".join(lines))

    def without_block(self, containing: str, *, inside: bool = False) -> Self:
        """Return the text without the block that begins with the line that contains a text, or with
        the block around that line if the text is `inside`; the comment above goes too. A block is a
        line, the lines below with deeper indentation, and a closing brace. Raises `DriftError` if
        there is none."""
        lines = self.content.splitlines(keepends=True)
        start = self._find_line(containing, lines)
        if inside:
            depth = len(_indentation(lines[start]))
            while not lines[start].strip() or len(_indentation(lines[start])) >= depth:
                start -= 1
        depth = len(_indentation(lines[start]))
        end = start + 1
        while end < len(lines) and (
            not lines[end].strip() or len(_indentation(lines[end])) > depth
        ):
            end += 1
        closed = end < len(lines) and lines[end].strip() == "}"
        end += closed
        while not closed and not lines[end - 1].strip():
            end -= 1
        while start > 0 and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        while start > 0 and not lines[start - 1].strip():
            start -= 1
        return type(self)(self.name, "".join(lines[:start] + lines[end:]))

    def with_headers(self, headers: tuple[str, ...]) -> Self:
        """Return the text with the lines that repeat for each header of the example repeated for
        each of `headers`."""
        lines = self.content.splitlines(keepends=True)
        result: list[str] = []
        index = 0
        while index < len(lines):
            period, length = _repetition(lines, index)
            if length:
                shape = lines[index : index + period]
                result += (_for_header(header, line) for header in headers for line in shape)
            else:
                result.append(lines[index])
            index += length or 1
        return type(self)(self.name, "".join(result))

    def _find_line(self, text: str, lines: list[str]) -> int:
        for index, line in enumerate(lines):
            if text in line:
                return index
        raise DriftError(f"`{text}` does not occur in {self.name}")


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _repetition(lines: list[str], index: int) -> tuple[int, int]:
    """The repetition that begins at a line, one of the example's headers after the other: the
    number of lines for each header, and the number of all lines; 0 and 0 for none."""
    suffixes = [header.lower().removeprefix("x-auth-") for header in EXAMPLE_HEADERS]
    period = 0
    while index + period < len(lines) and _mentioned_headers(lines[index + period]) == {
        suffixes[0]
    }:
        period += 1
    expected = [name for name in suffixes for _ in range(period)]
    actual = lines[index : index + len(expected)]
    if period and [_mentioned_headers(line) for line in actual] == [{name} for name in expected]:
        return period, len(expected)
    return 0, 0


def _mentioned_headers(line: str) -> set[str]:
    return {
        (match[1] or match[2] or match[3] or match[4]).lower() for match in _MENTION.finditer(line)
    }


def _for_header(header: str, line: str) -> str:
    def replace(match: re.Match[str]) -> str:
        text = _spell(header, like=match[1]) + match[6]
        return text if match[7] is None else text.ljust(max(len(match[0]), len(text) + 1))

    return _CELL.sub(replace, line)


def _spell(header: str, *, like: str) -> str:
    if like.startswith("@"):
        return f"@{variable_name(header)}"
    if like.startswith("authz_"):
        return f"authz_{variable_name(header)}"
    if "_" in like:
        return header.lower().replace("-", "_")
    return header.lower() if like.islower() else header


def variable_name(header: str) -> str:
    """Return a variable name for a header's value that the files use for nothing else."""
    whole = header.lower().replace("-", "_")
    short = whole.removeprefix("x_auth_")
    return whole if short in _RESERVED_VARIABLES else short
