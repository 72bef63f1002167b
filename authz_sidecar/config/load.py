"""From a path to a configuration: reads the files, has them checked, and hands out either a frozen
`Config` or every problem at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from authz_sidecar.config import check, warn
from authz_sidecar.config.document import Document, merged
from authz_sidecar.config.salvage import salvaged
from authz_sidecar.config.schema import Config
from authz_sidecar.config.values import Surroundings
from authz_sidecar.config.wording import problems_of
from authz_sidecar.config.yaml12 import read_text
from authz_sidecar.core.positions import problem_at
from authz_sidecar.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A hundred thousand routes are about 20 MB.
MAX_BYTES = 32 << 20

CONCATENATED = frozenset({"routes"})


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
    try:
        document = read(path, env=env)
    except ConfigError as error:
        return Examined(config=None, partial=None, problems=error.problems, warnings=())
    return examine_document(document)


def examine_document(document: Document) -> Examined:
    positions = document.positions
    problems = list(document.problems)
    try:
        understood: Config | None = Config.model_validate(document.data)
    except ValidationError as error:
        problems += problems_of(error, document)
        understood = salvaged(document.data, error)
    warnings: tuple[Problem, ...] = ()
    if understood is not None:
        understood = understood.placed(positions)
        told = {(problem.file, problem.line, problem.column) for problem in problems}
        problems += [
            problem
            for problem in check.problems(understood)
            if (problem.file, problem.line, problem.column) not in told
        ]
        warnings = warn.warnings(understood)
    return Examined(
        config=None if problems else understood,
        partial=understood,
        problems=tuple(sorted(set(problems))),
        warnings=warnings,
    )


def read(path: Path, *, env: Mapping[str, str]) -> Document:
    """A file, or the files of a directory in the order of their names, as one document."""
    files = _files_of(path)
    documents, left = [], MAX_BYTES
    for file in files:
        text, left = _text_of(file, left)
        surroundings = Surroundings(env=env, directory=file.parent)
        documents.append(read_text(text, file=str(file), surroundings=surroundings))
    return merged(documents, concatenated=CONCATENATED)


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


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _unreadable(path: Path, message: str, *, line: int = 0) -> ConfigError:
    return ConfigError((problem_at((str(path), line, 1 if line else 0), message),))
