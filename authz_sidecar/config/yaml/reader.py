"""Parses text as one YAML document; problems become findings with their locations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from authz_sidecar.config.document import Document, Finding, SourceNode, pack_position
from authz_sidecar.config.yaml.composer import MAX_VALUES, ComposeError, Composer

if TYPE_CHECKING:
    from authz_sidecar.config.references import ReferenceResolver


def parse_yaml(
    text: str, *, file: str, resolver: ReferenceResolver | None = None, max_values: int = MAX_VALUES
) -> Document:
    """Return the YAML document in `text`, of at most `max_values` values. With a `resolver`,
    `{env:}` and `{file:}` are resolved, `{var:}` and `{text:}` deferred. Never raises for what is
    in `text`."""
    composer = Composer(file=file, resolver=resolver, max_values=max_values)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    is_complete = False
    try:
        composer.compose(loader(text).get_event)
        is_complete = True
    except ComposeError as compose_error:
        composer.findings.append(compose_error.finding)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = (file, mark.line + 1, mark.column + 1) if mark else (file, 0, 0)
        details = ", ".join(part for part in (error.context, error.problem) if part)
        composer.findings.append(Finding(location, f"not valid yaml: {details}"))
    except yaml.reader.ReaderError as error:
        line, column = _line_and_column(text, error.position)
        composer.findings.append(Finding((file, line, column), f"not valid yaml: {error.reason}"))
    root = composer.root if is_complete else (None, SourceNode(file, None, pack_position(1, 1)))
    return Document(
        data=root[0],
        tree=root[1],
        findings=tuple(composer.findings),
        unreadable_paths=frozenset(composer.unreadable_paths if is_complete else [()]),
        has_deferred_references=composer.has_deferred_references,
        value_count=composer.value_count,
    )


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
