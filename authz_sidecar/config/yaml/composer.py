"""Makes a document of a parser's events, and keeps neither depth nor aliases from being bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from authz_sidecar.config.document import COLUMN_BITS, Children, Finding, Spot, Tree, spot
from authz_sidecar.config.references import (
    FromOutside,
    Pending,
    Surroundings,
    UnreadableError,
    reference_kind,
)
from authz_sidecar.config.yaml.scalars import core_value, tagged_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.source_locations import Place, Step

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


class Stop(Exception):
    """The rest of this text cannot be understood."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(place, message)


@dataclass(slots=True)
class _Anchored:
    """`size` and `height` are those of what the value is when its own aliases are followed."""

    data: Any
    children: Children
    size: int
    height: int


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet. In a map, `key` is None while one is expected."""

    data: Any
    tree: Tree
    anchor: str | None
    before: int
    is_map: bool
    height: int = 1
    key: Any = None
    key_spot: Spot = 0
    merges: list[tuple[Any, Tree]] | None = None

    @property
    def wants_key(self) -> bool:
        return self.key is None and self.is_map


@dataclass(slots=True, kw_only=True)
class Composer:
    file: str
    surroundings: Surroundings | None
    findings: list[Finding] = field(default_factory=list)
    broken: list[tuple[Step, ...]] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    values: int = 0
    most: int = MAX_VALUES
    documents: int = 0
    pending: bool = False
    root: tuple[Any, Tree] = field(init=False)

    def __post_init__(self) -> None:
        self.root = (None, Tree(self.file, None, spot(1, 1)))

    def compose(self, next_event: Callable[[], Any]) -> None:
        steps = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._begin_map,
            yaml.SequenceStartEvent: self._begin_list,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._begin_document,
        }
        end, step_of = yaml.StreamEndEvent, steps.get
        while True:
            event = next_event()
            kind = type(event)
            if (step := step_of(kind)) is not None:
                step(event)
            elif kind is end:
                return

    def _begin_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise self._stop(event, "a second document begins here, one file holds one")

    def _scalar(self, event: Any) -> None:
        # Most of what is read is read here, so a few calls are spared.
        parent = self.open[-1] if self.open else None
        mark = event.start_mark
        at = mark.line + 1 << COLUMN_BITS | mark.column + 1
        value = event.value
        if parent is not None and parent.key is None and parent.is_map:
            # A key is text whatever it looks like, as in JSON.
            parent.key = _MERGE if value == "<<" and event.implicit[0] else value
            parent.key_spot = at
            return
        self.values += 1
        if self.values > self.most:
            self._count(0, event)
        if event.tag is None:
            data = core_value(value) if event.implicit[0] else value
        else:
            try:
                data = tagged_value(value, event.tag)
            except ValueError as wrong:
                raise self._stop(event, str(wrong)) from None
        tree = Tree(self.file, None, at)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(data, None, 1, 0)
        self._add(parent, data, tree)

    def _alias(self, event: Any) -> None:
        if (target := self.anchors.get(event.anchor)) is None:
            raise self._stop(event, f"no anchor `{event.anchor}` stands before this alias")
        parent = self.open[-1] if self.open else None
        if parent is None or parent.wants_key:
            raise self._stop(event, "a key must be text")
        self._count(target.size, event)
        if len(self.open) + target.height > MAX_DEPTH:
            raise self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        parent.height = max(parent.height, target.height + 1)
        self._add(parent, target.data, Tree(self.file, None, _spot(event), target.children))

    def _begin_map(self, event: Any) -> None:
        self._begin(event, {}, {}, _MAP_TAGS)

    def _begin_list(self, event: Any) -> None:
        self._begin(event, [], [], _LIST_TAGS)

    def _begin(self, event: Any, data: Any, children: Any, tags: frozenset[str | None]) -> None:
        if self.open and self.open[-1].wants_key:
            raise self._stop(event, "a key must be text")
        if event.tag not in tags:
            raise self._stop(event, f"the tag `{event.tag}` is not supported")
        if len(self.open) >= MAX_DEPTH:
            raise self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        tree = Tree(self.file, None, _spot(event), children)
        self.open.append(_Open(data, tree, event.anchor, self.values, type(data) is dict))
        self._count(1, event)

    def _end(self, _event: Any) -> None:
        closed = self.open.pop()
        data, tree = closed.data, closed.tree
        for source in closed.merges or ():
            _merge(source, data, tree)
        if closed.is_map and len(data) == 1 and self.surroundings is not None:
            data = self._followed(data, tree, self.surroundings)
        if closed.anchor is not None:
            size = self.values - closed.before
            self.anchors[closed.anchor] = _Anchored(data, tree.children, size, closed.height)
        parent = self.open[-1] if self.open else None
        if parent is not None and parent.height <= closed.height:
            parent.height = closed.height + 1
        self._add(parent, data, tree)

    def _followed(self, data: dict[str, Any], tree: Tree, surroundings: Surroundings) -> object:
        """The text that a reference leads to; the map itself when it is none."""
        if (kind := reference_kind(data)) is None:
            return data
        tree.children = None
        try:
            value = surroundings.look_up(kind, data[kind])
        except UnreadableError as error:
            path = self._path()
            self._find(Finding(tree.place, str(error), path))
            self.broken.append(path)
            return FromOutside()
        self.pending = self.pending or isinstance(value, Pending)
        return value

    def _add(self, parent: _Open | None, data: Any, tree: Tree) -> None:
        if parent is None:
            self.root = (data, tree)
        elif not parent.is_map:
            parent.data.append(data)
            parent.tree.children.append(tree)  # type: ignore[union-attr]
        else:
            key, parent.key = parent.key, None
            tree.key = parent.key_spot
            if key is _MERGE:
                parent.merges = [*(parent.merges or ()), (data, tree)]
            elif key in parent.data:
                self._twice(parent, key, tree)
            elif len(parent.data) < MAX_KEYS:
                parent.data[key] = data
                parent.tree.children[key] = tree  # type: ignore[index]
            else:
                raise Stop(tree.key_place, f"more than {MAX_KEYS} keys in one map")

    def _twice(self, parent: _Open, key: str, tree: Tree) -> None:
        first = parent.tree.child(key)
        line = first.key_place[1] if first else 0
        message = f"given twice, first on line {line}"
        self._find(Finding(tree.key_place, message, (*self._path(), key)))

    def _find(self, finding: Finding) -> None:
        self.findings.append(finding)
        if len(self.findings) >= MAX_FINDINGS:
            raise Stop(finding.place, f"{MAX_FINDINGS} problems up to here, the rest was not read")

    def _path(self) -> tuple[Step, ...]:
        """Of what is being read inside the innermost open collection."""
        steps = (len(at.data) if type(at.data) is list else at.key for at in self.open)
        return tuple(step for step in steps if isinstance(step, str | int))

    def _count(self, size: int, event: Any) -> None:
        self.values += size
        if self.values > self.most:
            raise self._stop(
                event, f"more than {MAX_VALUES} values, aliases counted as often as used"
            )

    def _stop(self, event: Any, message: str) -> Stop:
        mark = event.start_mark
        return Stop((self.file, mark.line + 1, mark.column + 1), message)


def _merge(source: tuple[Any, Tree], data: dict[str, Any], tree: Tree) -> None:
    """`<<` as https://yaml.org/type/merge.html has it: own keys win, earlier maps over later ones."""
    value, place = source
    maps = zip(value, place.children or (), strict=True) if isinstance(value, list) else [source]
    for entries, entries_tree in maps:
        inner = entries_tree.children if isinstance(entries_tree, Tree) else None
        if not isinstance(entries, dict) or not isinstance(inner, dict):
            raise Stop(place.place, "`<<` takes a map or a list of maps")
        for key, entry in entries.items():
            if key not in data:
                data[key] = entry
                tree.children[key] = inner[key]  # type: ignore[index]


def _spot(event: Any) -> Spot:
    mark = event.start_mark
    return spot(mark.line + 1, mark.column + 1)
