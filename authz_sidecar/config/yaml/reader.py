"""From text to a document, or to what is wrong with it and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from authz_sidecar.config.document import Document, Finding, Tree, spot
from authz_sidecar.config.yaml.composer import MAX_VALUES, Composer, Stop

if TYPE_CHECKING:
    from authz_sidecar.config.references import Surroundings


def read_text(
    text: str, *, file: str, surroundings: Surroundings | None = None, most: int = MAX_VALUES
) -> Document:
    """One YAML document of at most so many values. `{env:}` and `{file:}` are followed where
    `surroundings` are given, `{var:}` and `{text:}` noted."""
    composer = Composer(file=file, surroundings=surroundings, most=most)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    whole = False
    try:
        composer.compose(loader(text).get_event)
        whole = True
    except Stop as stop:
        composer.findings.append(stop.finding)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (file, mark.line + 1, mark.column + 1) if mark else (file, 0, 0)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        composer.findings.append(Finding(place, f"not valid yaml: {said}"))
    except yaml.reader.ReaderError as error:
        line, column = _line_and_column(text, error.position)
        composer.findings.append(Finding((file, line, column), f"not valid yaml: {error.reason}"))
    root = composer.root if whole else (None, Tree(file, None, spot(1, 1)))
    return Document(
        data=root[0],
        tree=root[1],
        findings=tuple(composer.findings),
        broken=frozenset(composer.broken if whole else [()]),
        pending=composer.pending,
        values=composer.values,
    )


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
