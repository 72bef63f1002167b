"""Loads a configuration: reads its files, validates them, and returns either a frozen `Config` or
every problem at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from authz_sidecar.config.checks import cross_section
from authz_sidecar.config.checks.warnings import find_warnings
from authz_sidecar.config.document import Document, Finding, merge_documents
from authz_sidecar.config.merge import overlay_document
from authz_sidecar.config.messages import to_problems
from authz_sidecar.config.recovery import recover_config
from authz_sidecar.config.references import ReferenceResolver
from authz_sidecar.config.transient_errors import raise_if_temporary
from authz_sidecar.config.validation import MAX_PROBLEMS, validate_config
from authz_sidecar.config.variables import substitute_variables
from authz_sidecar.config.yaml import MAX_VALUES, parse_yaml
from authz_sidecar.core.gc_tuning import gc_paused
from authz_sidecar.core.source_locations import problem_at
from authz_sidecar.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from authz_sidecar.config.document import SourceNode
    from authz_sidecar.config.schema import Config
    from authz_sidecar.core.source_locations import SourceLocation

# A hundred thousand routes are about 20 MB.
MAX_CONFIG_BYTES = 32 << 20

MAX_EXTENDS_DEPTH = 8
EXTENDS_KEY = "extends"

# Lists whose elements have names: files of a directory add to them, files on top change them.
NAMED_LISTS = frozenset({"routes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedConfig:
    """The result of examining a configuration.

    `config`: the configuration; None when there are problems.
    `partial`: what of it could be validated, for further checks; None when that is nothing.
    `problems`, `warnings`: sorted by location.
    """

    config: Config | None
    partial: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def load_config(path: Path, *, env: Mapping[str, str]) -> Config:
    """Return the configuration at `path`, a file or a directory. Policies stay raw: `routes`
    compiles them. Raises `ConfigError` with every problem."""
    examined = examine_config(path, env=env)
    if examined.config is None:
        raise ConfigError(examined.problems)
    return examined.config


def examine_config(path: Path, *, env: Mapping[str, str]) -> ExaminedConfig:
    """Return the configuration at `path` with all its problems and warnings. Never raises for the
    content; raises `TemporaryError` when a file cannot be read at the moment."""
    with gc_paused():
        try:
            document = read_document(path, env=env)
        except ConfigError as error:
            return ExaminedConfig(config=None, partial=None, problems=error.problems, warnings=())
        return examine_document(document)


def examine_document(document: Document) -> ExaminedConfig:
    """Return the configuration in `document` with all its problems and warnings."""
    source_map = document.source_map
    problems = list(document.problems)
    result = validate_config(document.data)
    config = result.config
    problems += to_problems(result.details, document)
    if not result.complete:
        problems.append(
            source_map.problem(f"more than {MAX_PROBLEMS} problems, the first are shown")
        )
    elif result.details:
        config = recover_config(document.data, result.details)
    warnings: tuple[Problem, ...] = ()
    if config is not None:
        config = config.with_source_map(source_map)
        reported_locations = {(problem.file, problem.line, problem.column) for problem in problems}
        problems += [
            problem
            for problem in cross_section.find_problems(config)
            if (problem.file, problem.line, problem.column) not in reported_locations
        ]
        warnings = find_warnings(config)
    return ExaminedConfig(
        config=None if problems else config,
        partial=config,
        problems=tuple(sorted(set(problems))),
        warnings=warnings,
    )


def read_document(path: Path, *, env: Mapping[str, str]) -> Document:
    """Return the file at `path`, or the files of that directory in the order of their names, as one
    document with `extends` applied and variables substituted. Raises `ConfigError` for a file that
    cannot be read, `TemporaryError` when another attempt may succeed."""
    reader = _FileReader(env)
    document = reader.read(path, ())
    return substitute_variables(document, max_values=max(reader.values_left, 0))


@dataclass(slots=True)
class _FileReader:
    """What is left is shared by all files, however they refer to each other."""

    env: Mapping[str, str]
    bytes_left: int = MAX_CONFIG_BYTES
    values_left: int = MAX_VALUES

    def read(self, path: Path, extending_files: tuple[Path, ...]) -> Document:
        """`extending_files` are the files that extend this one, the first of them last."""
        documents = [self._read_file(file, extending_files) for file in _list_files(path)]
        return merge_documents(documents, concatenated=NAMED_LISTS)

    def _read_file(self, file: Path, extending_files: tuple[Path, ...]) -> Document:
        text, self.bytes_left = _read_file_text(file, self.bytes_left)
        resolver = ReferenceResolver(env=self.env, directory=file.parent)
        document = parse_yaml(text, file=str(file), resolver=resolver, max_values=self.values_left)
        self.values_left -= document.value_count
        if not isinstance(document.data, dict) or EXTENDS_KEY not in document.data:
            return document
        return self._apply_extends(document, file, (*extending_files, file.resolve()))

    def _apply_extends(
        self, document: Document, file: Path, extending_files: tuple[Path, ...]
    ) -> Document:
        document, base_name, location = _split_extends(document)
        if not isinstance(base_name, str):
            return _with_finding(document, location, "must be the path of a file or a directory")
        if not base_name:
            return document  # a reference that could not be followed, as has been said
        base_path = file.parent / base_name
        if len(extending_files) > MAX_EXTENDS_DEPTH:
            return _with_finding(
                document, location, f"more than {MAX_EXTENDS_DEPTH} levels of `extends`"
            )
        try:
            if any(base_file.resolve() in extending_files for base_file in _list_files(base_path)):
                return _with_finding(document, location, f"`{base_name}` extends this file in turn")
            base_document = self.read(base_path, extending_files)
        except ConfigError as error:
            return _with_finding(document, location, f"`{base_name}`: {error.problems[0].message}")
        return overlay_document(base_document, document, named_lists=NAMED_LISTS)


def _split_extends(document: Document) -> tuple[Document, object, SourceLocation]:
    data, children = (
        dict(document.data),
        dict(cast("dict[str, SourceNode]", document.tree.children)),
    )
    value, location = data.pop(EXTENDS_KEY), children.pop(EXTENDS_KEY).location
    tree = replace(document.tree, children=children)
    return replace(document, data=data, tree=tree), value, location


def _with_finding(document: Document, location: SourceLocation, message: str) -> Document:
    finding = Finding(location, message, (EXTENDS_KEY,))
    return replace(document, findings=(*document.findings, finding))


def _list_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        files = sorted(
            entry
            for entry in path.iterdir()
            if entry.suffix in (".yaml", ".yml")
            and not entry.name.startswith(".")
            and not entry.stem.endswith(".test")  # tests of policies stand beside them
            and entry.is_file()
        )
    except OSError as error:
        raise_if_temporary(error, path)
        raise _unreadable_error(
            path, f"cannot read this directory: {(error.strerror or '').lower()}"
        ) from None
    if not files:
        raise _unreadable_error(path, "no `.yaml` or `.yml` file in this directory")
    return files


def _read_file_text(file: Path, max_bytes: int) -> tuple[str, int]:
    try:
        with file.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        raise_if_temporary(error, file)
        raise _unreadable_error(
            file, f"cannot read this file: {(error.strerror or '').lower()}"
        ) from None
    if len(content) > max_bytes:
        raise _unreadable_error(
            file, f"the configuration is larger than {MAX_CONFIG_BYTES >> 20} MiB"
        )
    try:
        return content.decode("utf-8-sig"), max_bytes - len(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable_error(file, "not text in UTF-8", line=line) from None


def _unreadable_error(path: Path, message: str, *, line: int = 0) -> ConfigError:
    return ConfigError((problem_at((str(path), line, 1 if line else 0), message),))
