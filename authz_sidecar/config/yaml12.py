"""Reads YAML into documents with places, typed as YAML 1.2's core schema types it, and bounded.

The parser underneath speaks YAML 1.1; only its events are used, so that `no` stays a word, dates
stay text, duplicate keys are refused and neither depth nor aliases can make the result explode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from authz_sidecar.config.document import Document, Spot, Tree, spot
from authz_sidecar.config.values import FromOutside, Surroundings, Unreadable, reference_kind
from authz_sidecar.core.positions import Step, problem_at
from authz_sidecar.errors import Problem

# A hundred thousand routes are about a million values.
MAX_VALUES = 2_000_000
MAX_DEPTH = 64

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2.2 section 10.3.2, the core schema.
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"


class _Stop(Exception):
    """The rest of this text cannot be understood."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True)
class _Value:
    """A finished value. `size` and `height` are those of what it becomes when aliases are followed."""

    data: object
    tree: Tree
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class _Frame:
    """A collection that is still open."""

    value: _Value
    anchor: str | None
    path: tuple[Step, ...]
    key: str | None = None
    key_spot: Spot = 0
    merges: list[_Value] = field(default_factory=list)


def read_text(text: str, *, file: str, surroundings: Surroundings | None = None) -> Document:
    """One YAML document. `{env:}` and `{file:}` are followed where `surroundings` are given."""
    composer = _Composer(file=file, surroundings=surroundings)
    try:
        root = composer.compose(yaml.parse(text, Loader=_LOADER))
    except _Stop as stop:
        composer.problems.append(stop.problem)
        root = None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (file, mark.line + 1, mark.column + 1) if mark else (file, 0, 0)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        composer.problems.append(problem_at(place, f"not valid yaml: {said}"))
        root = None
    except yaml.YAMLError as error:
        composer.problems.append(problem_at((file, 0, 0), f"not valid yaml: {_one_line(error)}"))
        root = None
    root = root or _Value(None, Tree(file, None, spot(1, 1)))
    return Document(
        data=root.data,
        tree=root.tree,
        problems=tuple(composer.problems),
        broken=frozenset(composer.broken)
        | ({()} if root.data is None and composer.problems else set()),
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@dataclass(slots=True, kw_only=True)
class _Composer:
    file: str
    surroundings: Surroundings | None
    problems: list[Problem] = field(default_factory=list)
    broken: list[tuple[Step, ...]] = field(default_factory=list)
    anchors: dict[str, _Value] = field(default_factory=dict)
    frames: list[_Frame] = field(default_factory=list)
    root: _Value | None = None
    values: int = 0

    def compose(self, events: Iterator[yaml.Event]) -> _Value | None:
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._open(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close()
                case yaml.DocumentStartEvent() if self.root is not None:
                    raise self._stop(event, "a second document begins here, one file holds one")
        return self.root

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.value.data, dict) and frame.key is None:
            merge = event.implicit[0] and event.value == "<<"
            frame.key = "<<" if merge else event.value
            frame.key_spot = _spot(event)
            if merge:
                frame.merges.append(_MERGE_NEXT)
            return
        self._count(1, event)
        value = _Value(self._typed(event), self._tree(event))
        if event.anchor:
            self.anchors[event.anchor] = value
        self._add(value)

    def _typed(self, event: yaml.ScalarEvent) -> object:
        text, tag = event.value, event.tag
        if tag is None or tag == "!":
            return core_value(text) if event.implicit[0] and tag is None else text
        if tag == f"{_TAG}str":
            return text
        value = core_value(text)
        kinds = {"null": type(None), "bool": bool, "int": int, "float": float}
        if isinstance(value, kinds.get(tag.removeprefix(_TAG), ())):
            return value
        raise self._stop(event, f"`{text}` cannot have the tag `{tag}`")

    def _alias(self, event: yaml.AliasEvent) -> None:
        if (value := self.anchors.get(event.anchor)) is None:
            raise self._stop(event, f"no anchor `{event.anchor}` stands before this alias")
        frame = self.frames[-1] if self.frames else None
        if frame is not None and isinstance(frame.value.data, dict) and frame.key is None:
            raise self._stop(event, "a key must be text")
        self._count(value.size, event)
        if len(self.frames) + value.height > MAX_DEPTH:
            raise self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        tree = Tree(self.file, None, _spot(event), value.tree.children)
        self._add(_Value(value.data, tree, value.size, value.height))

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        parent = self.frames[-1] if self.frames else None
        if parent is not None and isinstance(parent.value.data, dict) and parent.key is None:
            raise self._stop(event, "a key must be text")
        if len(self.frames) >= MAX_DEPTH:
            raise self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if event.tag not in (None, "!", f"{_TAG}{kind}"):
            raise self._stop(event, f"the tag `{event.tag}` is not supported")
        self._count(1, event)
        tree = self._tree(event)
        data: object
        if kind == "map":
            data, tree.children = {}, {}
        else:
            data, tree.children = [], []
        self.frames.append(_Frame(_Value(data, tree), event.anchor, self._path()))

    def _close(self) -> None:
        frame = self.frames.pop()
        value = frame.value
        if frame.merges:
            self._merge(frame)
        if isinstance(value.data, dict) and self.surroundings is not None:
            self._follow(value, frame.path)
        if frame.anchor:
            self.anchors[frame.anchor] = value
        self._add(value)

    def _follow(self, value: _Value, path: tuple[Step, ...]) -> None:
        """Put the text that a reference leads to in its place."""
        assert isinstance(value.data, dict)
        assert self.surroundings is not None
        if (kind := reference_kind(value.data)) is None:
            return
        try:
            value.data = self.surroundings.look_up(kind, value.data[kind])
        except Unreadable as error:
            self.problems.append(problem_at(value.tree.place, str(error), *path))
            self.broken.append(path)
            value.data = FromOutside()
        value.tree.children = None

    def _add(self, value: _Value) -> None:
        if not self.frames:
            self.root = value
            return
        frame = self.frames[-1]
        frame.value.size += value.size
        frame.value.height = max(frame.value.height, value.height + 1)
        data, children = frame.value.data, frame.value.tree.children
        if isinstance(data, list):
            assert isinstance(children, list)
            data.append(value.data)
            children.append(value.tree)
            return
        assert isinstance(data, dict)
        assert isinstance(children, dict)
        assert frame.key is not None
        key, frame.key = frame.key, None
        value.tree.key = frame.key_spot
        if frame.merges and frame.merges[-1] is _MERGE_NEXT:
            frame.merges[-1] = value
        elif key in data:
            first = children[key].key_place
            self.problems.append(
                problem_at(
                    value.tree.key_place,
                    f"given twice, first on line {first[1]}",
                    *frame.path,
                    key,
                )
            )
        else:
            data[key] = value.data
            children[key] = value.tree

    def _merge(self, frame: _Frame) -> None:
        """`<<` as yaml.org/type/merge has it: own keys win, then earlier maps over later ones."""
        data, children = frame.value.data, frame.value.tree.children
        assert isinstance(data, dict)
        assert isinstance(children, dict)
        for value in frame.merges:
            sources = (
                list(zip(value.data, value.tree.children or (), strict=True))
                if isinstance(value.data, list)
                else [(value.data, value.tree)]
            )
            for source, tree in sources:
                if not isinstance(source, dict) or not isinstance(tree.children, dict):
                    raise _Stop(problem_at(value.tree.place, "`<<` takes a map or a list of maps"))
                for key, entry in source.items():
                    if key not in data:
                        data[key] = entry
                        children[key] = tree.children[key]

    def _path(self) -> tuple[Step, ...]:
        if not self.frames:
            return ()
        frame = self.frames[-1]
        step = len(frame.value.data) if isinstance(frame.value.data, list) else frame.key
        return frame.path if step is None else (*frame.path, step)

    def _count(self, size: int, event: yaml.Event) -> None:
        self.values += size
        if self.values > MAX_VALUES:
            raise self._stop(
                event, f"more than {MAX_VALUES} values, aliases counted as often as used"
            )

    def _tree(self, event: yaml.Event) -> Tree:
        return Tree(self.file, None, _spot(event))

    def _stop(self, event: yaml.Event, message: str) -> _Stop:
        mark = event.start_mark
        return _Stop(problem_at((self.file, mark.line + 1, mark.column + 1), message))


_MERGE_NEXT = _Value(None, Tree("", None, 0))


def _spot(event: yaml.Event) -> Spot:
    return spot(event.start_mark.line + 1, event.start_mark.column + 1)


def core_value(text: str) -> object:
    """What a plain scalar is in YAML 1.2's core schema; text when it is nothing else."""
    if not text or text[0] in "nN~":
        return None if _NULL.fullmatch(text) else text
    if text[0] in "tTfF":
        return text in ("true", "True", "TRUE") if _BOOL.fullmatch(text) else text
    if text[0] not in "+-.0123456789":
        return text
    return _number(text)


def _number(text: str) -> object:
    if _INT.fullmatch(text):
        if text[:2] in ("0o", "0x"):
            return int(text, 0)
        return int(text) if len(text) < 1000 else text
    if _FLOAT.fullmatch(text):
        return float(text)
    if found := _INFINITE.fullmatch(text):
        return float(f"{found[1]}inf")
    return float("nan") if _NAN.fullmatch(text) else text
