"""Source locations: where each value of a document was written, so that a problem can point at it.

Knows paths (`("routes", 0, "policy")`) and locations, nothing of the document's format.
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
    """The source locations of one document, by the path of a value from its root."""

    def location_of(self, *path: PathStep) -> SourceLocation:
        """Returns where the value at `path` was written, or else its nearest ancestor with a
        location."""

    def problem(self, message: str, *path: PathStep) -> Problem:
        """Returns a problem about the value at `path`; its message begins with the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSourceMap:
    """Source locations by path. A path without a located ancestor has the location of `file`, line
    0."""

    file: str
    locations: Mapping[tuple[PathStep, ...], SourceLocation] = field(default_factory=dict)

    def location_of(self, *path: PathStep) -> SourceLocation:
        """Returns the location of the value at `path`, or of its nearest ancestor that has one."""
        for length in range(len(path), -1, -1):
            if (location := self.locations.get(path[:length])) is not None:
                return location
        return (self.file, 0, 0)

    def problem(self, message: str, *path: PathStep) -> Problem:
        """Returns a problem about the value at `path`, at its location."""
        return problem_at(self.location_of(*path), message, *path)


def unknown_locations(file: str) -> StaticSourceMap:
    """Returns a source map for a document without known locations, such as one parsed from JSON."""
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
    """Returns a source map whose paths begin at the value at `prefix`; its problems still name the
    whole path."""
    return _ScopedSourceMap(source_map, prefix)


def problem_at(location: SourceLocation, message: str, *path: PathStep) -> Problem:
    """Returns a problem at `location`, whose message begins with `path`."""
    file, line, column = location
    text = f"{format_path(path)}: {message}" if path else message
    return Problem(file=file, line=line, column=column, message=text)


def format_path(path: tuple[PathStep, ...]) -> str:
    """Returns a path in the form `routes[0].policy[1].allow`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
