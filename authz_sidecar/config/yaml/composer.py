"""Composes a document from a YAML parser's events, with bounds on depth, values and aliases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from authz_sidecar.config.document import (
    COLUMN_BITS,
    ChildNodes,
    Finding,
    PackedPosition,
    SourceNode,
    pack_position,
)
from authz_sidecar.config.references import (
    DeferredReference,
    ExternalText,
    ReferenceResolver,
    UnresolvedReferenceError,
    reference_kind,
)
from authz_sidecar.config.yaml.scalars import resolve_plain_scalar, resolve_tagged_scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.source_locations import PathStep, SourceLocation

# A hundred thousand routes are about a million values.
MAX_VALUES = 2_000_000
MAX_DEPTH = 64
MAX_KEYS = 200_000
MAX_FINDINGS = 1000

_TAG = "tag:yaml.org,2002:"
_MAP_TAGS = frozenset({None, "!", f"{_TAG}map"})
_LIST_TAGS = frozenset({None, "!", f"{_TAG}seq"})
_MERGE = object()
"""Stands where a key would while the value of `<<` is read."""


class ComposeError(Exception):
    """The rest of the text cannot be parsed; `finding` says where and why."""

    def __init__(self, location: SourceLocation, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(location, message)


@dataclass(slots=True)
class _AnchoredValue:
    """`size` and `height` are those of what the value is when its own aliases are followed."""

    data: Any
    children: ChildNodes
    size: int
    height: int


@dataclass(slots=True)
class _OpenCollection:
    """A collection whose end has not come yet. In a map, `key` is None while one is expected."""

    data: Any
    tree: SourceNode
    anchor: str | None
    values_before: int
    is_map: bool
    height: int = 1
    key: Any = None
    key_position: PackedPosition = 0
    merge_sources: list[tuple[Any, SourceNode]] | None = None

    @property
    def expects_key(self) -> bool:
        return self.key is None and self.is_map


@dataclass(slots=True, kw_only=True)
class Composer:
    """Composes one document from parser events.

    `resolver`: resolves `{env:}` and `{file:}`; None leaves references as maps.
    `max_values`: the bound on `value_count`, which counts aliases as often as they are used.
    `root`: the data and the source node of the whole document.
    """

    file: str
    resolver: ReferenceResolver | None
    findings: list[Finding] = field(default_factory=list)
    unreadable_paths: list[tuple[PathStep, ...]] = field(default_factory=list)
    anchors: dict[str, _AnchoredValue] = field(default_factory=dict)
    open_collections: list[_OpenCollection] = field(default_factory=list)
    value_count: int = 0
    max_values: int = MAX_VALUES
    document_count: int = 0
    has_deferred_references: bool = False
    root: tuple[Any, SourceNode] = field(init=False)

    def __post_init__(self) -> None:
        self.root = (None, SourceNode(self.file, None, pack_position(1, 1)))

    def compose(self, next_event: Callable[[], Any]) -> None:
        """Consume the events of a whole stream. Raises `ComposeError` where a bound is exceeded or
        the rest cannot be parsed."""
        handlers = {
            yaml.ScalarEvent: self._add_scalar,
            yaml.AliasEvent: self._add_alias,
            yaml.MappingStartEvent: self._begin_map,
            yaml.SequenceStartEvent: self._begin_list,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._begin_document,
        }
        end, handler_of = yaml.StreamEndEvent, handlers.get
        while True:
            event = next_event()
            kind = type(event)
            if (handler := handler_of(kind)) is not None:
                handler(event)
            elif kind is end:
                return

    def _begin_document(self, event: Any) -> None:
        self.document_count += 1
        if self.document_count > 1:
            raise self._error_at(event, "a second document begins here, but a file holds one")

    def _add_scalar(self, event: Any) -> None:
        # Most of what is read is read here, so a few calls are spared.
        parent = self.open_collections[-1] if self.open_collections else None
        mark = event.start_mark
        position = mark.line + 1 << COLUMN_BITS | mark.column + 1
        value = event.value
        if parent is not None and parent.key is None and parent.is_map:
            # A key is text whatever it looks like, as in JSON.
            parent.key = _MERGE if value == "<<" and event.implicit[0] else value
            parent.key_position = position
            return
        self.value_count += 1
        if self.value_count > self.max_values:
            self._count_values(0, event)
        if event.tag is None:
            data = resolve_plain_scalar(value) if event.implicit[0] else value
        else:
            try:
                data = resolve_tagged_scalar(value, event.tag)
            except ValueError as error:
                raise self._error_at(event, str(error)) from None
        tree = SourceNode(self.file, None, position)
        if event.anchor is not None:
            self.anchors[event.anchor] = _AnchoredValue(data, None, 1, 0)
        self._add(parent, data, tree)

    def _add_alias(self, event: Any) -> None:
        if (target := self.anchors.get(event.anchor)) is None:
            raise self._error_at(event, f"the alias refers to no earlier anchor `{event.anchor}`")
        parent = self.open_collections[-1] if self.open_collections else None
        if parent is None or parent.expects_key:
            raise self._error_at(event, "a key must be text")
        self._count_values(target.size, event)
        if len(self.open_collections) + target.height > MAX_DEPTH:
            raise self._error_at(event, f"nested deeper than {MAX_DEPTH} levels")
        parent.height = max(parent.height, target.height + 1)
        self._add(
            parent, target.data, SourceNode(self.file, None, _position_of(event), target.children)
        )

    def _begin_map(self, event: Any) -> None:
        self._begin(event, {}, {}, _MAP_TAGS)

    def _begin_list(self, event: Any) -> None:
        self._begin(event, [], [], _LIST_TAGS)

    def _begin(self, event: Any, data: Any, children: Any, tags: frozenset[str | None]) -> None:
        if self.open_collections and self.open_collections[-1].expects_key:
            raise self._error_at(event, "a key must be text")
        if event.tag not in tags:
            raise self._error_at(event, f"the tag `{event.tag}` is not supported")
        if len(self.open_collections) >= MAX_DEPTH:
            raise self._error_at(event, f"nested deeper than {MAX_DEPTH} levels")
        tree = SourceNode(self.file, None, _position_of(event), children)
        self.open_collections.append(
            _OpenCollection(data, tree, event.anchor, self.value_count, type(data) is dict)
        )
        self._count_values(1, event)

    def _end(self, _event: Any) -> None:
        closed = self.open_collections.pop()
        data, tree = closed.data, closed.tree
        for source in closed.merge_sources or ():
            _apply_merge_key(source, data, tree)
        if closed.is_map and len(data) == 1 and self.resolver is not None:
            data = self._resolve_reference(data, tree, self.resolver)
        if closed.anchor is not None:
            size = self.value_count - closed.values_before
            self.anchors[closed.anchor] = _AnchoredValue(data, tree.children, size, closed.height)
        parent = self.open_collections[-1] if self.open_collections else None
        if parent is not None and parent.height <= closed.height:
            parent.height = closed.height + 1
        self._add(parent, data, tree)

    def _resolve_reference(
        self, data: dict[str, Any], tree: SourceNode, resolver: ReferenceResolver
    ) -> object:
        """The text that a reference leads to; the map itself when it is none."""
        if (kind := reference_kind(data)) is None:
            return data
        tree.children = None
        try:
            value = resolver.resolve(kind, data[kind])
        except UnresolvedReferenceError as error:
            path = self._path()
            self._add_finding(Finding(tree.location, str(error), path))
            self.unreadable_paths.append(path)
            return ExternalText()
        self.has_deferred_references = self.has_deferred_references or isinstance(
            value, DeferredReference
        )
        return value

    def _add(self, parent: _OpenCollection | None, data: Any, tree: SourceNode) -> None:
        if parent is None:
            self.root = (data, tree)
        elif not parent.is_map:
            parent.data.append(data)
            parent.tree.children.append(tree)  # type: ignore[union-attr]
        else:
            key, parent.key = parent.key, None
            tree.key_position = parent.key_position
            if key is _MERGE:
                parent.merge_sources = [*(parent.merge_sources or ()), (data, tree)]
            elif key in parent.data:
                self._report_duplicate_key(parent, key, tree)
            elif len(parent.data) < MAX_KEYS:
                parent.data[key] = data
                parent.tree.children[key] = tree  # type: ignore[index]
            else:
                raise ComposeError(tree.key_location, f"more than {MAX_KEYS} keys in one map")

    def _report_duplicate_key(self, parent: _OpenCollection, key: str, tree: SourceNode) -> None:
        first = parent.tree.child(key)
        line = first.key_location[1] if first else 0
        message = f"given twice, first on line {line}"
        self._add_finding(Finding(tree.key_location, message, (*self._path(), key)))

    def _add_finding(self, finding: Finding) -> None:
        self.findings.append(finding)
        if len(self.findings) >= MAX_FINDINGS:
            raise ComposeError(
                finding.location, f"{MAX_FINDINGS} problems so far, the rest was not read"
            )

    def _path(self) -> tuple[PathStep, ...]:
        """Of what is being read inside the innermost open collection."""
        steps = (
            len(collection.data) if type(collection.data) is list else collection.key
            for collection in self.open_collections
        )
        return tuple(step for step in steps if isinstance(step, str | int))

    def _count_values(self, size: int, event: Any) -> None:
        self.value_count += size
        if self.value_count > self.max_values:
            raise self._error_at(
                event, f"more than {MAX_VALUES} values, aliases counted as often as used"
            )

    def _error_at(self, event: Any, message: str) -> ComposeError:
        mark = event.start_mark
        return ComposeError((self.file, mark.line + 1, mark.column + 1), message)


def _apply_merge_key(
    source: tuple[Any, SourceNode], data: dict[str, Any], tree: SourceNode
) -> None:
    """`<<` as https://yaml.org/type/merge.html has it: own keys win, earlier maps over later ones."""
    value, source_tree = source
    maps = (
        zip(value, source_tree.children or (), strict=True) if isinstance(value, list) else [source]
    )
    for entries, entries_tree in maps:
        entry_nodes = entries_tree.children if isinstance(entries_tree, SourceNode) else None
        if not isinstance(entries, dict) or not isinstance(entry_nodes, dict):
            raise ComposeError(source_tree.location, "`<<` takes a map or a list of maps")
        for key, entry in entries.items():
            if key not in data:
                data[key] = entry
                tree.children[key] = entry_nodes[key]  # type: ignore[index]


def _position_of(event: Any) -> PackedPosition:
    mark = event.start_mark
    return pack_position(mark.line + 1, mark.column + 1)
