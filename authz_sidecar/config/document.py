"""A document and where everything in it stands: plain Python values beside a tree of places.

Knows nothing of YAML, nor of what the values mean. Several documents become one here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from authz_sidecar.core.source_locations import Place, Step, problem_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_sidecar.errors import Problem

Spot = int
"""A line and a column in one integer: a hundred thousand routes have a million of them."""

COLUMN_BITS = 32


def spot(line: int, column: int) -> Spot:
    return line << COLUMN_BITS | column


def _place(file: str, at: Spot) -> Place:
    return (file, at >> COLUMN_BITS, at & ((1 << COLUMN_BITS) - 1))


Children: TypeAlias = "dict[str, Tree] | list[Tree] | None"


@dataclass(slots=True)
class Tree:
    """Where one value stands. `key` is where its own key stands, None for what has no key."""

    file: str
    key: Spot | None
    start: Spot
    children: Children = None

    def child(self, step: Step) -> Tree | None:
        if isinstance(self.children, dict):
            return self.children.get(step) if isinstance(step, str) else None
        if isinstance(self.children, list) and isinstance(step, int):
            return self.children[step] if 0 <= step < len(self.children) else None
        return None

    @property
    def place(self) -> Place:
        """A scalar is pointed at itself, a collection by its key: it may begin lines below it."""
        by_key = self.key is not None and self.children is not None
        return _place(self.file, self.key if by_key and self.key is not None else self.start)

    @property
    def key_place(self) -> Place:
        return _place(self.file, self.start if self.key is None else self.key)


@dataclass(frozen=True, slots=True)
class TreePositions:
    """`Positions` over a tree; also tells the places of keys, for what is wrong with a key itself."""

    tree: Tree

    def at(self, *path: Step) -> Place:
        return self._nearest(path)[0].place

    def key_at(self, *path: Step) -> Place:
        nearest, exact = self._nearest(path)
        return nearest.key_place if exact else nearest.place

    def problem(self, message: str, *path: Step) -> Problem:
        return problem_at(self.at(*path), message, *path)

    def key_problem(self, message: str, *path: Step) -> Problem:
        return problem_at(self.key_at(*path), message, *path)

    def _nearest(self, path: tuple[Step, ...]) -> tuple[Tree, bool]:
        tree = self.tree
        for step in path:
            below = tree.child(step)
            if below is None:
                return tree, False
            tree = below
        return tree, True


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem whose path may still change, when documents are merged."""

    place: Place
    message: str
    path: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`findings` were made while reading; `broken` are the paths whose values stand in for what
    could not be read, and about which nothing more need be said. `pending`: variables are still to
    be filled in. `values` is how many there are, aliases counted as often as used."""

    data: Any
    tree: Tree
    findings: tuple[Finding, ...] = ()
    broken: frozenset[tuple[Step, ...]] = frozenset()
    pending: bool = False
    values: int = 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(problem_at(it.place, it.message, *it.path) for it in self.findings)

    @property
    def positions(self) -> TreePositions:
        return TreePositions(self.tree)


def merged(documents: Iterable[Document], *, concatenated: frozenset[str]) -> Document:
    """One document out of several: maps merge at every depth, the top-level lists named in
    `concatenated` are joined in order, and whatever else is given twice is a problem."""
    data: dict[str, Any] = {}
    tree: Tree | None = None
    merge = _Merge(concatenated)
    findings: list[Finding] = []
    broken: set[tuple[Step, ...]] = set()
    pending = False
    for document in documents:
        pending = pending or document.pending
        findings += (
            Finding(it.place, it.message, _moved(it.path, data)) for it in document.findings
        )
        tree = tree or Tree(document.tree.file, None, spot(1, 1), {})
        if isinstance(document.data, dict):
            broken |= {_moved(path, data) for path in document.broken}
            merge.into(data, tree, document.data, document.tree, ())
        elif document.data is not None:
            findings.append(Finding(document.tree.place, "a configuration is a map of keys"))
        elif document.broken:
            broken.add(())
    if tree is None:
        raise ValueError("no documents")
    return Document(
        data=data,
        tree=tree,
        findings=(*findings, *merge.findings),
        broken=frozenset(broken),
        pending=pending,
    )


@dataclass(slots=True)
class _Merge:
    concatenated: frozenset[str]
    findings: list[Finding] = field(default_factory=list)

    def into(
        self,
        data: dict[str, Any],
        tree: Tree,
        more: dict[str, Any],
        place: Tree,
        path: tuple[str, ...],
    ) -> None:
        ours, theirs = tree.children, place.children
        if not isinstance(ours, dict) or not isinstance(theirs, dict):
            raise TypeError("a map without the places of its keys")
        for key, value in more.items():
            if key not in data:
                data[key], ours[key] = _own(value, theirs[key])
            elif isinstance(data[key], dict) and isinstance(value, dict):
                self.into(data[key], ours[key], value, theirs[key], (*path, key))
            elif not path and key in self.concatenated and _both_lists(data[key], value):
                data[key] += value
                ours[key].children += theirs[key].children  # type: ignore[operator]
            else:
                file, line, column = ours[key].key_place
                message = f"already given at {file}:{line}:{column}"
                self.findings.append(Finding(theirs[key].key_place, message, (*path, key)))


def _both_lists(one: object, other: object) -> bool:
    return isinstance(one, list) and isinstance(other, list)


def _own(value: Any, tree: Tree) -> tuple[Any, Tree]:
    """A copy of the outer containers, so that merging into them changes nobody else's."""
    if isinstance(value, dict) and isinstance(tree.children, dict):
        owned = {key: _own(entry, tree.children[key]) for key, entry in value.items()}
        places = {key: place for key, (_, place) in owned.items()}
        data = {key: entry for key, (entry, _) in owned.items()}
        return data, Tree(tree.file, tree.key, tree.start, places)
    if isinstance(value, list) and isinstance(tree.children, list):
        return list(value), Tree(tree.file, tree.key, tree.start, list(tree.children))
    return value, tree


def _moved(path: tuple[Step, ...], data: dict[str, Any]) -> tuple[Step, ...]:
    """`path` after the lists of earlier documents were put before its own."""
    match path:
        case (str() as name, int() as index, *rest) if isinstance(data.get(name), list):
            return (name, index + len(data[name]), *rest)
        case _:
            return path
