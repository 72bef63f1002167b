"""Fills in `{var: NAME}` and `{text: "…{name}…"}` once all of a configuration is together.

Variables keep their type. They cannot refer to each other, and what they come to is bounded like
everything else that is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.document import Document, Finding, Tree
from authz_sidecar.config.messages import meant
from authz_sidecar.config.references import Pending
from authz_sidecar.config.value_parsers import name as checked_name

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import Step

KEY = "variables"
LONGEST_TEXT = 8192

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

Path = tuple["Step", ...]


class _WrongError(ValueError):
    """What is wrong with a reference."""


def filled(document: Document, *, most: int) -> Document:
    """The document without its variables. `most` is the number of values they may come to."""
    if not isinstance(document.data, dict):
        return document
    data = dict(document.data)
    tree = replace(document.tree, children=dict(_map_of(document.tree)))
    filler = _Filler(left=most)
    filler.define(data.pop(KEY, {}), _map_of(tree).pop(KEY, tree))
    if document.pending:
        filler.fill(data, tree)
    return replace(
        document,
        data=data,
        tree=tree,
        findings=(*document.findings, *filler.findings),
        broken=document.broken | filler.broken,
        pending=False,
    )


@dataclass(slots=True)
class _Filler:
    left: int
    variables: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)

    def define(self, variables: object, tree: Tree) -> None:
        if not isinstance(variables, dict):
            self.findings.append(Finding(tree.place, "must be a map of names and values", (KEY,)))
            return
        for name, value in variables.items():
            place = tree.child(name) or tree
            try:
                checked_name(name)
            except ValueError as wrong:
                self.findings.append(Finding(place.key_place, str(wrong), (KEY, name)))
            if _refers(value):
                message = "variables cannot refer to each other"
                self.findings.append(Finding(place.place, message, (KEY, name)))
            self.variables[name] = None if _refers(value) else value

    def fill(self, data: Any, tree: Tree) -> None:
        """In place, each container once: through aliases one may be reached many times."""
        seen: set[int] = set()
        waiting: list[tuple[Any, Tree, Path]] = [(data, tree, ())]
        while waiting:
            container, place, path = waiting.pop()
            if id(container) in seen:
                continue
            seen.add(id(container))
            inside = container.items() if isinstance(container, dict) else enumerate(container)
            for step, value in list(inside):
                below = place.child(step) or place
                if isinstance(value, Pending):
                    container[step] = self._value(value, below, (*path, step))
                elif isinstance(value, dict | list):
                    waiting.append((value, below, (*path, step)))

    def _value(self, reference: Pending, tree: Tree, path: Path) -> object:
        try:
            if reference.kind == "var":
                return self._variable(reference.text)
            return self._text(reference.text)
        except _WrongError as wrong:
            self.findings.append(Finding(tree.place, str(wrong), path))
            self.broken.add(path)
            return ""

    def _variable(self, name: str) -> Any:
        if name not in self.variables:
            raise _WrongError(f"there is no variable `{name}`{meant(name, list(self.variables))}")
        value = self.variables[name]
        self.sizes.setdefault(name, _size(value))
        self.left -= self.sizes[name]
        if self.left < 0:
            raise _WrongError("the variables come to too many values together")
        return value

    def _text(self, written: str) -> str:
        def part(found: re.Match[str]) -> str:
            if found.group() in ("{{", "}}"):
                return found.group()[0]
            if found[1] is None:
                raise _WrongError(f"`{found.group()}` stands alone, write it twice to mean it")
            return _as_text(found[1], self._variable(found[1]))

        text = _PART.sub(part, written)
        if len(text) > LONGEST_TEXT:
            raise _WrongError(f"comes to more than {LONGEST_TEXT} characters")
        return text


def _as_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _WrongError(f"the variable `{name}` is no text")


def _map_of(tree: Tree) -> dict[str, Tree]:
    return tree.children if isinstance(tree.children, dict) else {}


def _refers(value: object) -> bool:
    if isinstance(value, dict | list):
        return any(map(_refers, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Pending)


def _size(value: object) -> int:
    if isinstance(value, dict | list):
        return 1 + sum(map(_size, value.values() if isinstance(value, dict) else value))
    return 1
