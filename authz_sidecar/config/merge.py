"""One document on top of another: what the upper one says counts, and everything keeps its place.

Maps merge at every depth, `routes` merge by name, whatever else is said above replaces what is
below, and nothing (`null`) takes it away. Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.document import Document, Finding, Tree

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import Step

Path = tuple["Step", ...]


def overlaid(base: Document, over: Document, *, named: frozenset[str]) -> Document:
    """Both hold maps. `named` are the top-level lists whose elements have names."""
    merge = _Merge(named)
    data, tree = merge.maps(base.data, base.tree, over.data, over.tree, ())
    return Document(
        data=data,
        tree=tree,
        findings=(
            *(it for it in base.findings if not merge.gone(it.path)),
            *(Finding(it.place, it.message, merge.moved(it.path)) for it in over.findings),
        ),
        broken=frozenset(
            {path for path in base.broken if not merge.gone(path)}
            | {merge.moved(path) for path in over.broken}
        ),
        pending=base.pending or over.pending,
    )


@dataclass(slots=True)
class _Merge:
    """Copies what it changes: below an alias, one value may stand in several places."""

    named: frozenset[str]
    replaced: set[Path] = field(default_factory=set)
    places: dict[str, list[int]] = field(default_factory=dict)

    def gone(self, path: Path) -> bool:
        """Whether nothing is left of what stood at a path of the lower document."""
        return any(path[:length] in self.replaced for length in range(1, len(path) + 1))

    def moved(self, path: Path) -> Path:
        """Where something at a path of the upper document is now."""
        match path:
            case (str() as name, int() as index, *rest) if name in self.places:
                return (name, self.places[name][index], *rest)
            case _:
                return path

    def maps(
        self, base: dict[str, Any], below: Tree, over: dict[str, Any], above: Tree, path: Path
    ) -> tuple[dict[str, Any], Tree]:
        data, places = dict(base), _places(below)
        upper = _places(above)
        for key, value in over.items():
            here = (*path, key)
            if key not in base:
                data[key], places[key] = value, upper[key]
            elif value is None:
                self.replaced.add(here)
                del data[key], places[key]
            elif isinstance(base[key], dict) and isinstance(value, dict):
                data[key], places[key] = self.maps(base[key], places[key], value, upper[key], here)
            elif not path and key in self.named and _are_lists(base[key], value):
                data[key], places[key] = self.lists(base[key], places[key], value, upper[key], key)
            else:
                self.replaced.add(here)
                data[key], places[key] = value, upper[key]
        return data, Tree(below.file, below.key, below.start, places)

    def lists(
        self, base: list[Any], below: Tree, over: list[Any], above: Tree, key: str
    ) -> tuple[list[Any], Tree]:
        """Elements with a name that is below merge into it, the others come after all of them."""
        data, places = list(base), list(_elements(below))
        known = {name: place for place, item in enumerate(base) if (name := _name(item))}
        moved = self.places.setdefault(key, [])
        for item, tree in zip(over, _elements(above), strict=True):
            place = known.pop(_name(item), None)
            if place is None:
                place = len(data)
                data.append(item)
                places.append(tree)
            else:
                data[place], places[place] = self.maps(
                    data[place], places[place], item, tree, (key, place)
                )
            moved.append(place)
        return data, Tree(below.file, below.key, below.start, places)


def _places(tree: Tree) -> dict[str, Tree]:
    return dict(tree.children) if isinstance(tree.children, dict) else {}


def _elements(tree: Tree) -> list[Tree]:
    return tree.children if isinstance(tree.children, list) else []


def _are_lists(one: object, other: object) -> bool:
    return isinstance(one, list) and isinstance(other, list)


def _name(item: object) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""
