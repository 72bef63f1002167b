"""A document and where everything in it stands: plain Python values beside a tree of places.

Knows nothing of YAML, nor of what the values mean. Several documents become one here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from authz_sidecar.core.positions import Place, Step, problem_at
from authz_sidecar.errors import Problem

Spot = int
"""A line and a column in one integer: a hundred thousand routes have a million of them."""

_COLUMN_BITS = 32


def spot(line: int, column: int) -> Spot:
    return line << _COLUMN_BITS | column


def _place(file: str, at: Spot) -> Place:
    return (file, at >> _COLUMN_BITS, at & ((1 << _COLUMN_BITS) - 1))


@dataclass(slots=True)
class Tree:
    """Where one value stands. `key` is where its own key stands, None for what has no key."""

    file: str
    key: Spot | None
    start: Spot
    children: dict[str, Tree] | list[Tree] | None = None

    def child(self, step: Step) -> Tree | None:
        match self.children, step:
            case dict() as entries, str():
                return entries.get(step)
            case list() as items, int() if 0 <= step < len(items):
                return items[step]
            case _:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """`problems` were found while reading; `broken` are the paths whose values stand in for what
    could not be read, and about which nothing more need be said."""

    data: object
    tree: Tree
    problems: tuple[Problem, ...] = ()
    broken: frozenset[tuple[Step, ...]] = frozenset()

    @property
    def positions(self) -> TreePositions:
        return TreePositions(self.tree)


@dataclass(slots=True)
class _Merge:
    concatenated: frozenset[str]
    problems: list[Problem] = field(default_factory=list)

    def into(
        self, data: dict[str, object], tree: Tree, more: Document, path: tuple[str, ...] = ()
    ) -> None:
        assert isinstance(tree.children, dict)
        assert isinstance(more.tree.children, dict)
        assert isinstance(more.data, dict)
        for key, value in more.data.items():
            place = more.tree.children[key]
            if key not in data:
                data[key], tree.children[key] = _own(value, place)
                continue
            here, at = data[key], tree.children[key]
            if isinstance(here, dict) and isinstance(value, dict):
                self.into(here, at, Document(data=value, tree=place), (*path, key))
            elif (
                isinstance(here, list)
                and isinstance(value, list)
                and isinstance(at.children, list)
                and isinstance(place.children, list)
                and not path
                and key in self.concatenated
            ):
                here += value
                at.children += place.children
            else:
                file, line, column = at.key_place
                self.problems.append(
                    problem_at(
                        place.key_place,
                        f"already given at {file}:{line}:{column}",
                        *path,
                        key,
                    )
                )


def merged(documents: Iterable[Document], *, concatenated: frozenset[str]) -> Document:
    """One document out of several: maps merge at every depth, the top-level lists named in
    `concatenated` are joined in order, and whatever else is given twice is a problem."""
    data: dict[str, object] = {}
    tree: Tree | None = None
    merge = _Merge(concatenated)
    problems: list[Problem] = []
    broken: set[tuple[Step, ...]] = set()
    for document in documents:
        problems += document.problems
        if tree is None:
            tree = Tree(document.tree.file, None, spot(1, 1), {})
        if document.data is None:
            continue
        if not isinstance(document.data, dict):
            problems.append(document.positions.problem("a configuration is a map of keys"))
            continue
        broken |= {_moved(path, data, concatenated) for path in document.broken}
        merge.into(data, tree, document)
    if tree is None:
        raise ValueError("no documents")
    return Document(
        data=data,
        tree=tree,
        problems=(*problems, *merge.problems),
        broken=frozenset(broken),
    )


def _own(value: object, tree: Tree) -> tuple[object, Tree]:
    """A copy of the outer containers, so that merging into them changes nobody else's."""
    match value, tree.children:
        case dict() as entries, dict() as places:
            copies = {key: _own(entry, places[key]) for key, entry in entries.items()}
            data: object = {key: copy for key, (copy, _) in copies.items()}
            return data, Tree(
                tree.file, tree.key, tree.start, {k: t for k, (_, t) in copies.items()}
            )
        case list() as items, list() as spots:
            return list(items), Tree(tree.file, tree.key, tree.start, list(spots))
        case _:
            return value, tree


def _moved(
    path: tuple[Step, ...], data: dict[str, object], concatenated: frozenset[str]
) -> tuple[Step, ...]:
    """`path` after the lists before it were joined."""
    match path:
        case (str() as name, int() as index, *rest) if name in concatenated:
            before = data.get(name)
            return (name, index + (len(before) if isinstance(before, list) else 0), *rest)
        case _:
            return path
