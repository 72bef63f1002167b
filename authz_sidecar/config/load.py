"""From a path to a configuration: reads the files, has them checked, and hands out either a frozen
`Config` or every problem at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from authz_sidecar.config.checks import cross_section
from authz_sidecar.config.checks.warnings import find_warnings
from authz_sidecar.config.document import Document, Finding, merged
from authz_sidecar.config.merge import overlaid
from authz_sidecar.config.messages import problems_of
from authz_sidecar.config.recovery import salvaged
from authz_sidecar.config.references import Surroundings
from authz_sidecar.config.transient_errors import raise_if_temporary
from authz_sidecar.config.validation import MOST_PROBLEMS, understand
from authz_sidecar.config.variables import filled
from authz_sidecar.config.yaml import MAX_VALUES, read_text
from authz_sidecar.core.gc_tuning import collector_paused
from authz_sidecar.core.source_locations import problem_at
from authz_sidecar.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from authz_sidecar.config.document import Tree
    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import Place

# A hundred thousand routes are about 20 MB.
MAX_BYTES = 32 << 20

MOST_LAYERS = 8
EXTENDS = "extends"

# Lists whose elements have names: files of a directory add to them, files on top change them.
NAMED = frozenset({"routes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """`config` is None when there are problems. `partial` is then what could be understood, for
    whoever looks for more problems in it; None when that is nothing."""

    config: Config | None
    partial: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def load(path: Path, *, env: Mapping[str, str]) -> Config:
    """Raises `ConfigError` with every problem. Policies stay raw: `routes` compiles them."""
    examined = examine(path, env=env)
    if examined.config is None:
        raise ConfigError(examined.problems)
    return examined.config


def examine(path: Path, *, env: Mapping[str, str]) -> Examined:
    with collector_paused():
        try:
            document = read(path, env=env)
        except ConfigError as error:
            return Examined(config=None, partial=None, problems=error.problems, warnings=())
        return examine_document(document)


def examine_document(document: Document) -> Examined:
    positions = document.positions
    problems = list(document.problems)
    found = understand(document.data)
    understood = found.config
    problems += problems_of(found.details, document)
    if not found.complete:
        problems.append(positions.problem(f"more than {MOST_PROBLEMS} problems, here are some"))
    elif found.details:
        understood = salvaged(document.data, found.details)
    warnings: tuple[Problem, ...] = ()
    if understood is not None:
        understood = understood.placed(positions)
        told = {(problem.file, problem.line, problem.column) for problem in problems}
        problems += [
            problem
            for problem in cross_section.problems(understood)
            if (problem.file, problem.line, problem.column) not in told
        ]
        warnings = find_warnings(understood)
    return Examined(
        config=None if problems else understood,
        partial=understood,
        problems=tuple(sorted(set(problems))),
        warnings=warnings,
    )


def read(path: Path, *, env: Mapping[str, str]) -> Document:
    """A file, or the files of a directory in the order of their names, each on top of what it
    extends, as one document with its variables filled in."""
    reader = _Reader(env)
    document = reader.document(path, ())
    return filled(document, most=max(reader.values_left, 0))


@dataclass(slots=True)
class _Reader:
    """What is left is shared by all files, however they refer to each other."""

    env: Mapping[str, str]
    bytes_left: int = MAX_BYTES
    values_left: int = MAX_VALUES

    def document(self, path: Path, above: tuple[Path, ...]) -> Document:
        """`above` are the files that extend this one, the first of them last."""
        documents = [self._file(file, above) for file in _files_of(path)]
        return merged(documents, concatenated=NAMED)

    def _file(self, file: Path, above: tuple[Path, ...]) -> Document:
        text, self.bytes_left = _text_of(file, self.bytes_left)
        surroundings = Surroundings(env=self.env, directory=file.parent)
        document = read_text(text, file=str(file), surroundings=surroundings, most=self.values_left)
        self.values_left -= document.values
        if not isinstance(document.data, dict) or EXTENDS not in document.data:
            return document
        return self._extended(document, file, (*above, file.resolve()))

    def _extended(self, document: Document, file: Path, above: tuple[Path, ...]) -> Document:
        document, written, place = _without_extends(document)
        if not isinstance(written, str):
            return _finding(document, place, "must be the path of a file or a directory")
        if not written:
            return document  # a reference that could not be followed, as has been said
        base = file.parent / written
        if len(above) > MOST_LAYERS:
            return _finding(document, place, f"more than {MOST_LAYERS} files on top of each other")
        try:
            if any(each.resolve() in above for each in _files_of(base)):
                return _finding(document, place, f"`{written}` leads back to this file")
            below = self.document(base, above)
        except ConfigError as error:
            return _finding(document, place, f"`{written}`: {error.problems[0].message}")
        return overlaid(below, document, named=NAMED)


def _without_extends(document: Document) -> tuple[Document, object, Place]:
    data, children = dict(document.data), dict(cast("dict[str, Tree]", document.tree.children))
    written, place = data.pop(EXTENDS), children.pop(EXTENDS).place
    tree = replace(document.tree, children=children)
    return replace(document, data=data, tree=tree), written, place


def _finding(document: Document, place: Place, message: str) -> Document:
    finding = Finding(place, message, (EXTENDS,))
    return replace(document, findings=(*document.findings, finding))


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        found = sorted(
            entry
            for entry in path.iterdir()
            if entry.suffix in (".yaml", ".yml")
            and not entry.name.startswith(".")
            and not entry.stem.endswith(".test")  # tests of policies stand beside them
            and entry.is_file()
        )
    except OSError as error:
        raise_if_temporary(error, path)
        raise _unreadable(
            path, f"cannot read this directory: {(error.strerror or '').lower()}"
        ) from None
    if not found:
        raise _unreadable(path, "no `.yaml` or `.yml` file in this directory")
    return found


def _text_of(file: Path, left: int) -> tuple[str, int]:
    try:
        with file.open("rb") as stream:
            content = stream.read(left + 1)
    except OSError as error:
        raise_if_temporary(error, file)
        raise _unreadable(
            file, f"cannot read this file: {(error.strerror or '').lower()}"
        ) from None
    if len(content) > left:
        raise _unreadable(file, f"the configuration is larger than {MAX_BYTES >> 20} MiB")
    try:
        return content.decode("utf-8-sig"), left - len(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(file, "not text in UTF-8", line=line) from None


def _unreadable(path: Path, message: str, *, line: int = 0) -> ConfigError:
    return ConfigError((problem_at((str(path), line, 1 if line else 0), message),))
