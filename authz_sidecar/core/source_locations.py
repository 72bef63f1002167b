"""Where each value of a document was written, so that whoever judges a value can point at it.

Knows paths (`("routes", 0, "policy")`) and places, nothing of the format they were read from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

PathStep = str | int
SourceLocation = tuple[str, int, int]
"""File, line and column; both count from 1, and 0 means unknown."""
RuleViolation = tuple[str, tuple[PathStep, ...]]
"""What is wrong, and the path of the value that it is about."""


class SourceMap(Protocol):
    """The places of one document, asked by path from its root."""

    def location_of(self, *path: PathStep) -> SourceLocation:
        """Where the value at `path` was written, or else its nearest known ancestor."""

    def problem(self, message: str, *path: PathStep) -> Problem:
        """`message` about the value at `path`, with its place; the path is put before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSourceMap:
    """Places by path. The root `()` need not be among them: then `file` is all that is known."""

    file: str
    locations: Mapping[tuple[PathStep, ...], SourceLocation] = field(default_factory=dict)

    def location_of(self, *path: PathStep) -> SourceLocation:
        for length in range(len(path), -1, -1):
            if (location := self.locations.get(path[:length])) is not None:
                return location
        return (self.file, 0, 0)

    def problem(self, message: str, *path: PathStep) -> Problem:
        return problem_at(self.location_of(*path), message, *path)


def unknown_locations(file: str) -> StaticSourceMap:
    """For a document whose places nobody kept, such as one parsed from JSON."""
    return StaticSourceMap(file=file)


@dataclass(frozen=True, slots=True)
class _ScopedSourceMap:
    outer: SourceMap
    prefix: tuple[PathStep, ...]

    def location_of(self, *path: PathStep) -> SourceLocation:
        return self.outer.location_of(*self.prefix, *path)

    def problem(self, message: str, *path: PathStep) -> Problem:
        return self.outer.problem(message, *self.prefix, *path)


def scoped(source_map: SourceMap, *prefix: PathStep) -> SourceMap:
    """The same places, asked by path from the value at `prefix`; problems still name the whole path."""
    return _ScopedSourceMap(source_map, prefix)


def problem_at(location: SourceLocation, message: str, *path: PathStep) -> Problem:
    file, line, column = location
    text = f"{format_path(path)}: {message}" if path else message
    return Problem(file=file, line=line, column=column, message=text)


def format_path(path: tuple[PathStep, ...]) -> str:
    """A path as people write it: `routes[0].policy[1].allow`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
