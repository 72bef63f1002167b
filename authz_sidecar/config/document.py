"""A document and where everything in it stands: plain Python values beside a tree of places.

Knows nothing of YAML, nor of what the values mean. Several documents become one here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from authz_sidecar.core.source_locations import PathStep, SourceLocation, problem_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.errors import Problem

PackedPosition = int
"""A line and a column in one integer: a hundred thousand routes have a million of them."""

COLUMN_BITS = 32


def pack_position(line: int, column: int) -> PackedPosition:
    return line << COLUMN_BITS | column


def _unpack_location(file: str, position: PackedPosition) -> SourceLocation:
    return (file, position >> COLUMN_BITS, position & ((1 << COLUMN_BITS) - 1))


ChildNodes: TypeAlias = "dict[str, SourceNode] | list[SourceNode] | None"


@dataclass(slots=True)
class SourceNode:
    """Where one value stands. `key_position` is where its own key stands, None for what has no
    key."""

    file: str
    key_position: PackedPosition | None
    value_position: PackedPosition
    children: ChildNodes = None

    def child(self, step: PathStep) -> SourceNode | None:
        if isinstance(self.children, dict):
            return self.children.get(step) if isinstance(step, str) else None
        if isinstance(self.children, list) and isinstance(step, int):
            return self.children[step] if 0 <= step < len(self.children) else None
        return None

    @property
    def location(self) -> SourceLocation:
        """A scalar is pointed at itself, a collection by its key: it may begin lines below it."""
        by_key = self.key_position is not None and self.children is not None
        return _unpack_location(
            self.file,
            self.key_position if by_key and self.key_position is not None else self.value_position,
        )

    @property
    def key_location(self) -> SourceLocation:
        return _unpack_location(
            self.file, self.value_position if self.key_position is None else self.key_position
        )


@dataclass(frozen=True, slots=True)
class DocumentSourceMap:
    """`SourceMap` over a tree; also tells the places of keys, for what is wrong with a key
    itself."""

    root: SourceNode

    def location_of(self, *path: PathStep) -> SourceLocation:
        return self._find_nearest(path)[0].location

    def key_location_of(self, *path: PathStep) -> SourceLocation:
        nearest, exact = self._find_nearest(path)
        return nearest.key_location if exact else nearest.location

    def problem(self, message: str, *path: PathStep) -> Problem:
        return problem_at(self.location_of(*path), message, *path)

    def key_problem(self, message: str, *path: PathStep) -> Problem:
        return problem_at(self.key_location_of(*path), message, *path)

    def _find_nearest(self, path: tuple[PathStep, ...]) -> tuple[SourceNode, bool]:
        node = self.root
        for step in path:
            child = node.child(step)
            if child is None:
                return node, False
            node = child
        return node, True


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem whose path may still change, when documents are merged."""

    location: SourceLocation
    message: str
    path: tuple[PathStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`findings` were made while reading; `unreadable_paths` are the paths whose values stand in
    for what could not be read, and about which nothing more need be said.
    `has_deferred_references`: variables are still to be filled in. `value_count` is how many there
    are, aliases counted as often as used."""

    data: Any
    tree: SourceNode
    findings: tuple[Finding, ...] = ()
    unreadable_paths: frozenset[tuple[PathStep, ...]] = frozenset()
    has_deferred_references: bool = False
    value_count: int = 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            problem_at(finding.location, finding.message, *finding.path)
            for finding in self.findings
        )

    @property
    def source_map(self) -> DocumentSourceMap:
        return DocumentSourceMap(self.tree)


def merge_documents(documents: Iterable[Document], *, concatenated: frozenset[str]) -> Document:
    """One document out of several: maps merge at every depth, the top-level lists named in
    `concatenated` are joined in order, and whatever else is given twice is a problem."""
    data: dict[str, Any] = {}
    tree: SourceNode | None = None
    merger = _DocumentMerger(concatenated)
    findings: list[Finding] = []
    unreadable_paths: set[tuple[PathStep, ...]] = set()
    has_deferred_references = False
    for document in documents:
        has_deferred_references = has_deferred_references or document.has_deferred_references
        findings += (
            Finding(finding.location, finding.message, _shift_index(finding.path, data))
            for finding in document.findings
        )
        tree = tree or SourceNode(document.tree.file, None, pack_position(1, 1), {})
        if isinstance(document.data, dict):
            unreadable_paths |= {_shift_index(path, data) for path in document.unreadable_paths}
            merger.merge_into(data, tree, document.data, document.tree, ())
        elif document.data is not None:
            findings.append(Finding(document.tree.location, "a configuration is a map of keys"))
        elif document.unreadable_paths:
            unreadable_paths.add(())
    if tree is None:
        raise ValueError("no documents")
    return Document(
        data=data,
        tree=tree,
        findings=(*findings, *merger.findings),
        unreadable_paths=frozenset(unreadable_paths),
        has_deferred_references=has_deferred_references,
    )


@dataclass(slots=True)
class _DocumentMerger:
    concatenated: frozenset[str]
    findings: list[Finding] = field(default_factory=list)

    def merge_into(
        self,
        data: dict[str, Any],
        tree: SourceNode,
        addition: dict[str, Any],
        addition_tree: SourceNode,
        path: tuple[str, ...],
    ) -> None:
        children, addition_children = tree.children, addition_tree.children
        if not isinstance(children, dict) or not isinstance(addition_children, dict):
            raise TypeError("a map without the places of its keys")
        for key, value in addition.items():
            if key not in data:
                data[key], children[key] = _copy_containers(value, addition_children[key])
            elif isinstance(data[key], dict) and isinstance(value, dict):
                self.merge_into(
                    data[key], children[key], value, addition_children[key], (*path, key)
                )
            elif not path and key in self.concatenated and _both_lists(data[key], value):
                data[key] += value
                children[key].children += addition_children[key].children  # type: ignore[operator]
            else:
                file, line, column = children[key].key_location
                message = f"already given at {file}:{line}:{column}"
                self.findings.append(
                    Finding(addition_children[key].key_location, message, (*path, key))
                )


def _both_lists(one: object, other: object) -> bool:
    return isinstance(one, list) and isinstance(other, list)


def _copy_containers(value: Any, tree: SourceNode) -> tuple[Any, SourceNode]:
    """A copy of the outer containers, so that merging into them changes nobody else's."""
    if isinstance(value, dict) and isinstance(tree.children, dict):
        copies = {key: _copy_containers(entry, tree.children[key]) for key, entry in value.items()}
        child_nodes = {key: node for key, (_, node) in copies.items()}
        data = {key: entry for key, (entry, _) in copies.items()}
        return data, SourceNode(tree.file, tree.key_position, tree.value_position, child_nodes)
    if isinstance(value, list) and isinstance(tree.children, list):
        return list(value), SourceNode(
            tree.file, tree.key_position, tree.value_position, list(tree.children)
        )
    return value, tree


def _shift_index(path: tuple[PathStep, ...], data: dict[str, Any]) -> tuple[PathStep, ...]:
    """`path` after the lists of earlier documents were put before its own."""
    match path:
        case (str() as name, int() as index, *rest) if isinstance(data.get(name), list):
            return (name, index + len(data[name]), *rest)
        case _:
            return path
