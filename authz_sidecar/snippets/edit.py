"""Edits of a text that stop when what they edit is not there, so that `deploy/` and the snippets
cannot drift apart unseen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

EXAMPLE = ("X-Auth-User", "X-Auth-Email", "X-Auth-Groups", "X-Auth-Name", "X-Auth-Assertion")
"""The identity headers that the files of `deploy/` are written with."""

_WHICH = "(user|email|groups|name|assertion)"
_MENTION = re.compile(
    rf"(?:x-auth-{_WHICH}|x_auth_{_WHICH}|authz_{_WHICH}|@{_WHICH})(?![\w-])", re.IGNORECASE
)
# A mention in a column: what is glued to it, and the blanks up to the next one.
_CELL = re.compile(rf"({_MENTION.pattern})([)\]]*)( {{2,}})?", re.IGNORECASE)

# Names that the files use for something else.
_TAKEN = frozenset({
    "asking", "check", "connection", "cookie", "host_differs", "pages", "passed", "plain", "reason",
    "set_cookie", "unavailable", "upgrade", "web", "websocket",
})  # fmt: skip


class DriftError(AssertionError):
    """A file of `deploy/` is not as an edit expects it."""


@dataclass(frozen=True, slots=True)
class Text:
    name: str
    content: str

    def replace(self, old: str, new: str) -> Self:
        if old not in self.content:
            raise DriftError(f"`{old}` does not occur in {self.name}")
        return type(self)(self.name, self.content.replace(old, new))

    def without_lines(self, *containing: str) -> Self:
        lines = self.content.splitlines(keepends=True)
        for text in containing:
            if not any(text in line for line in lines):
                raise DriftError(f"`{text}` does not occur in {self.name}")
        kept = [line for line in lines if not any(text in line for text in containing)]
        return type(self)(self.name, "".join(kept))

    def after_line(self, containing: str, *new: str) -> Self:
        """Put lines below the one that contains a text, with its indentation."""
        lines = self.content.splitlines(keepends=True)
        at = self._line_with(containing, lines)
        indentation = _indentation(lines[at])
        lines[at + 1 : at + 1] = [f"{indentation}{line}\n" for line in new]
        return type(self)(self.name, "".join(lines))

    def without_block(self, containing: str, *, inside: bool = False) -> Self:
        """Leave out the block that begins with the line that contains a text, or the one around it
        when the text is `inside`; with the comment above it. A block is what is indented deeper
        than its first line, and a closing brace."""
        lines = self.content.splitlines(keepends=True)
        start = self._line_with(containing, lines)
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
        """Lines that repeat for each of the example's headers repeat for `headers` instead."""
        lines = self.content.splitlines(keepends=True)
        result: list[str] = []
        at = 0
        while at < len(lines):
            period, length = _repetition(lines, at)
            if length:
                shape = lines[at : at + period]
                result += (_about(header, line) for header in headers for line in shape)
            else:
                result.append(lines[at])
            at += length or 1
        return type(self)(self.name, "".join(result))

    def _line_with(self, text: str, lines: list[str]) -> int:
        for at, line in enumerate(lines):
            if text in line:
                return at
        raise DriftError(f"`{text}` does not occur in {self.name}")


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _repetition(lines: list[str], at: int) -> tuple[int, int]:
    """Whether lines from here on speak of one of the example's headers after the other: how many
    are about each, and how many that is together."""
    about = [header.lower().removeprefix("x-auth-") for header in EXAMPLE]
    period = 0
    while at + period < len(lines) and _mentioned(lines[at + period]) == {about[0]}:
        period += 1
    expected = [name for name in about for _ in range(period)]
    found = lines[at : at + len(expected)]
    if period and [_mentioned(line) for line in found] == [{name} for name in expected]:
        return period, len(expected)
    return 0, 0


def _mentioned(line: str) -> set[str]:
    return {
        (found[1] or found[2] or found[3] or found[4]).lower() for found in _MENTION.finditer(line)
    }


def _about(header: str, line: str) -> str:
    def cell(found: re.Match[str]) -> str:
        text = _spelled(header, like=found[1]) + found[6]
        return text if found[7] is None else text.ljust(max(len(found[0]), len(text) + 1))

    return _CELL.sub(cell, line)


def _spelled(header: str, *, like: str) -> str:
    if like.startswith("@"):
        return f"@{variable(header)}"
    if like.startswith("authz_"):
        return f"authz_{variable(header)}"
    if "_" in like:
        return header.lower().replace("-", "_")
    return header.lower() if like.islower() else header


def variable(header: str) -> str:
    """A name for a header's value, free of what the files call something else."""
    whole = header.lower().replace("-", "_")
    short = whole.removeprefix("x_auth_")
    return whole if short in _TAKEN else short
