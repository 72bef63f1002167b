"""Parsed documents: plain Python values beside a tree of source nodes with their locations.

Merges several documents into one. Knows nothing of YAML, nor of what the values mean.
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
    """Return a line and a column (both from 1) as one integer."""
    return line << COLUMN_BITS | column


def _unpack_location(file: str, position: PackedPosition) -> SourceLocation:
    return (file, position >> COLUMN_BITS, position & ((1 << COLUMN_BITS) - 1))


ChildNodes: TypeAlias = "dict[str, SourceNode] | list[SourceNode] | None"


@dataclass(slots=True)
class SourceNode:
    """The location of one value and of the values below it.

    `key_position`: where the value's own key stands; None for a value without one.
    `value_position`: where the value itself begins.
    `children`: the nodes of a map by key, of a list by index; None for a scalar.
    """

    file: str
    key_position: PackedPosition | None
    value_position: PackedPosition
    children: ChildNodes = None

    def child(self, step: PathStep) -> SourceNode | None:
        """Return the node at one step below, or None where there is no such step."""
        if isinstance(self.children, dict):
            return self.children.get(step) if isinstance(step, str) else None
        if isinstance(self.children, list) and isinstance(step, int):
            return self.children[step] if 0 <= step < len(self.children) else None
        return None

    @property
    def location(self) -> SourceLocation:
        """The location to report for the value: of a scalar its own, of a collection that of its
        key, because a collection may begin lines below its key."""
        by_key = self.key_position is not None and self.children is not None
        return _unpack_location(
            self.file,
            self.key_position if by_key and self.key_position is not None else self.value_position,
        )

    @property
    def key_location(self) -> SourceLocation:
        """The location of the value's key, or of the value where it has no key."""
        return _unpack_location(
            self.file, self.value_position if self.key_position is None else self.key_position
        )


@dataclass(frozen=True, slots=True)
class DocumentSourceMap:
    """A `SourceMap` over a tree of source nodes, which also knows the locations of keys."""

    root: SourceNode

    def location_of(self, *path: PathStep) -> SourceLocation:
        """Return the location of the value at `path`, or of the nearest container above it."""
        return self._find_nearest(path)[0].location

    def key_location_of(self, *path: PathStep) -> SourceLocation:
        """Return the location of the key at `path`, or of the nearest container above it."""
        nearest, exact = self._find_nearest(path)
        return nearest.key_location if exact else nearest.location

    def problem(self, message: str, *path: PathStep) -> Problem:
        """Return a problem at the location of the value at `path`."""
        return problem_at(self.location_of(*path), message, *path)

    def key_problem(self, message: str, *path: PathStep) -> Problem:
        """Return a problem at the location of the key at `path`."""
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
    """A problem found while parsing; its path may still change when documents are merged."""

    location: SourceLocation
    message: str
    path: tuple[PathStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One parsed document.

    `data`: the values; `tree`: their source nodes.
    `findings`: the problems found while parsing.
    `unreadable_paths`: paths whose values are placeholders for what could not be read. Nothing more
        is reported about them.
    `has_deferred_references`: whether references to variables are still to be substituted.
    `value_count`: the number of values, with aliases counted as often as they are used.
    """

    data: Any
    tree: SourceNode
    findings: tuple[Finding, ...] = ()
    unreadable_paths: frozenset[tuple[PathStep, ...]] = frozenset()
    has_deferred_references: bool = False
    value_count: int = 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The findings as problems, each with its location."""
        return tuple(
            problem_at(finding.location, finding.message, *finding.path)
            for finding in self.findings
        )

    @property
    def source_map(self) -> DocumentSourceMap:
        """The locations of all values and keys."""
        return DocumentSourceMap(self.tree)


def merge_documents(documents: Iterable[Document], *, concatenated: frozenset[str]) -> Document:
    """Return one document out of several.

    Maps are merged at every depth, the top-level lists named in `concatenated` are joined in order,
    and anything else that is given twice is a finding. Raises `ValueError` if there are no
    documents.
    """
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
            raise TypeError("a map without the locations of its keys")
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


def _both_lists(value: object, other: object) -> bool:
    return isinstance(value, list) and isinstance(other, list)


def _copy_containers(value: Any, tree: SourceNode) -> tuple[Any, SourceNode]:
    """A copy of the containers, so that merging into them does not change the originals."""
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
