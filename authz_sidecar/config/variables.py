"""Substitutes `{var: NAME}` and `{text: "…{name}…"}` once all files of a configuration are merged.

Variables keep their type and cannot refer to each other; what they expand to is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.document import Document, Finding, SourceNode
from authz_sidecar.config.messages import suggest_name
from authz_sidecar.config.references import DeferredReference
from authz_sidecar.config.value_parsers import parse_name

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import PathStep

VARIABLES_KEY = "variables"
MAX_TEXT_LENGTH = 8192

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

DocumentPath = tuple["PathStep", ...]


class _SubstitutionError(ValueError):
    """What is wrong with a reference."""


def substitute_variables(document: Document, *, max_values: int) -> Document:
    """Return the document with variables substituted and its `variables` removed. `max_values`
    bounds the number of values that they expand to."""
    if not isinstance(document.data, dict):
        return document
    data = dict(document.data)
    tree = replace(document.tree, children=dict(_child_map(document.tree)))
    substituter = _Substituter(values_left=max_values)
    substituter.define(data.pop(VARIABLES_KEY, {}), _child_map(tree).pop(VARIABLES_KEY, tree))
    if document.has_deferred_references:
        substituter.substitute(data, tree)
    return replace(
        document,
        data=data,
        tree=tree,
        findings=(*document.findings, *substituter.findings),
        unreadable_paths=document.unreadable_paths | substituter.unreadable_paths,
        has_deferred_references=False,
    )


@dataclass(slots=True)
class _Substituter:
    values_left: int
    variables: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unreadable_paths: set[DocumentPath] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)

    def define(self, variables: object, tree: SourceNode) -> None:
        if not isinstance(variables, dict):
            self.findings.append(
                Finding(tree.location, "must be a map of names and values", (VARIABLES_KEY,))
            )
            return
        for name, value in variables.items():
            node = tree.child(name) or tree
            try:
                parse_name(name)
            except ValueError as error:
                self.findings.append(Finding(node.key_location, str(error), (VARIABLES_KEY, name)))
            if _contains_reference(value):
                message = "variables cannot refer to each other"
                self.findings.append(Finding(node.location, message, (VARIABLES_KEY, name)))
            self.variables[name] = None if _contains_reference(value) else value

    def substitute(self, data: Any, tree: SourceNode) -> None:
        """Substitute in place, each container once: with aliases it may be reached by many
        paths."""
        visited: set[int] = set()
        stack: list[tuple[Any, SourceNode, DocumentPath]] = [(data, tree, ())]
        while stack:
            container, node, path = stack.pop()
            if id(container) in visited:
                continue
            visited.add(id(container))
            entries = container.items() if isinstance(container, dict) else enumerate(container)
            for step, value in list(entries):
                child = node.child(step) or node
                if isinstance(value, DeferredReference):
                    container[step] = self._resolve(value, child, (*path, step))
                elif isinstance(value, dict | list):
                    stack.append((value, child, (*path, step)))

    def _resolve(
        self, reference: DeferredReference, tree: SourceNode, path: DocumentPath
    ) -> object:
        try:
            if reference.kind == "var":
                return self._look_up(reference.text)
            return self._fill_template(reference.text)
        except _SubstitutionError as error:
            self.findings.append(Finding(tree.location, str(error), path))
            self.unreadable_paths.add(path)
            return ""

    def _look_up(self, name: str) -> Any:
        if name not in self.variables:
            raise _SubstitutionError(
                f"there is no variable `{name}`{suggest_name(name, list(self.variables))}"
            )
        value = self.variables[name]
        self.sizes.setdefault(name, _count_values(value))
        self.values_left -= self.sizes[name]
        if self.values_left < 0:
            raise _SubstitutionError("the variables expand to too many values")
        return value

    def _fill_template(self, template: str) -> str:
        def substitute_placeholder(match: re.Match[str]) -> str:
            if match.group() in ("{{", "}}"):
                return match.group()[0]
            if match[1] is None:
                raise _SubstitutionError(f"`{match.group()}` must be doubled to stand for itself")
            return _to_text(match[1], self._look_up(match[1]))

        text = _PLACEHOLDER.sub(substitute_placeholder, template)
        if len(text) > MAX_TEXT_LENGTH:
            raise _SubstitutionError(f"expands to more than {MAX_TEXT_LENGTH} characters")
        return text


def _to_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _SubstitutionError(f"the variable `{name}` is not text")


def _child_map(tree: SourceNode) -> dict[str, SourceNode]:
    return tree.children if isinstance(tree.children, dict) else {}


def _contains_reference(value: object) -> bool:
    if isinstance(value, dict | list):
        return any(map(_contains_reference, value.values() if isinstance(value, dict) else value))
    return isinstance(value, DeferredReference)


def _count_values(value: object) -> int:
    if isinstance(value, dict | list):
        return 1 + sum(map(_count_values, value.values() if isinstance(value, dict) else value))
    return 1
