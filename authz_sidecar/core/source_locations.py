"""Where each value of a document was written, so that whoever judges a value can point at it.

Knows paths (`("routes", 0, "policy")`) and places, nothing of the format they were read from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from authz_sidecar.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

Step = str | int
Place = tuple[str, int, int]
"""File, line and column; both count from 1, and 0 means unknown."""
Found = tuple[str, tuple[Step, ...]]
"""What is wrong, and the path of the value that it is about."""


class Positions(Protocol):
    """The places of one document, asked by path from its root."""

    def at(self, *path: Step) -> Place:
        """Where the value at `path` was written, or else its nearest known ancestor."""

    def problem(self, message: str, *path: Step) -> Problem:
        """`message` about the value at `path`, with its place; the path is put before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPlaces:
    """Places by path. The root `()` need not be among them: then `file` is all that is known."""

    file: str
    places: Mapping[tuple[Step, ...], Place] = field(default_factory=dict)

    def at(self, *path: Step) -> Place:
        for length in range(len(path), -1, -1):
            if (place := self.places.get(path[:length])) is not None:
                return place
        return (self.file, 0, 0)

    def problem(self, message: str, *path: Step) -> Problem:
        return problem_at(self.at(*path), message, *path)


def unplaced(file: str) -> KnownPlaces:
    """For a document whose places nobody kept, such as one parsed from JSON."""
    return KnownPlaces(file=file)


@dataclass(frozen=True, slots=True)
class _Below:
    outer: Positions
    prefix: tuple[Step, ...]

    def at(self, *path: Step) -> Place:
        return self.outer.at(*self.prefix, *path)

    def problem(self, message: str, *path: Step) -> Problem:
        return self.outer.problem(message, *self.prefix, *path)


def below(positions: Positions, *prefix: Step) -> Positions:
    """The same places, asked by path from the value at `prefix`; problems still name the whole path."""
    return _Below(positions, prefix)


def problem_at(place: Place, message: str, *path: Step) -> Problem:
    file, line, column = place
    text = f"{written(path)}: {message}" if path else message
    return Problem(file=file, line=line, column=column, message=text)


def written(path: tuple[Step, ...]) -> str:
    """A path as people write it: `routes[0].policy[1].allow`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
