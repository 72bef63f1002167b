"""Overlays one document on another, as `extends` does; every value keeps its source location.

Maps are merged at every depth and named lists (`routes`) by name. Any other value of the overlay
replaces that of the base, and `null` removes it. Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.document import Document, Finding, SourceNode

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import PathStep

DocumentPath = tuple["PathStep", ...]


def overlay_document(base: Document, overlay: Document, *, named_lists: frozenset[str]) -> Document:
    """Return `overlay` on top of `base`; both hold maps. `named_lists` are the top-level lists
    whose elements are merged by their `name`."""
    merger = _OverlayMerger(named_lists)
    data, tree = merger.merge_maps(base.data, base.tree, overlay.data, overlay.tree, ())
    return Document(
        data=data,
        tree=tree,
        findings=(
            *(finding for finding in base.findings if not merger.is_replaced(finding.path)),
            *(
                Finding(finding.location, finding.message, merger.relocate(finding.path))
                for finding in overlay.findings
            ),
        ),
        unreadable_paths=frozenset(
            {path for path in base.unreadable_paths if not merger.is_replaced(path)}
            | {merger.relocate(path) for path in overlay.unreadable_paths}
        ),
        has_deferred_references=base.has_deferred_references or overlay.has_deferred_references,
    )


@dataclass(slots=True)
class _OverlayMerger:
    """Merges two documents. Copies what it changes: with aliases, one value may be at several
    paths."""

    named_lists: frozenset[str]
    replaced_paths: set[DocumentPath] = field(default_factory=set)
    new_indexes: dict[str, list[int]] = field(default_factory=dict)

    def is_replaced(self, path: DocumentPath) -> bool:
        """Whether nothing is left of what stood at a path of the lower document."""
        return any(path[:length] in self.replaced_paths for length in range(1, len(path) + 1))

    def relocate(self, path: DocumentPath) -> DocumentPath:
        """Where something at a path of the upper document is now."""
        match path:
            case (str() as name, int() as index, *rest) if name in self.new_indexes:
                return (name, self.new_indexes[name][index], *rest)
            case _:
                return path

    def merge_maps(
        self,
        base: dict[str, Any],
        base_tree: SourceNode,
        overlay: dict[str, Any],
        overlay_tree: SourceNode,
        path: DocumentPath,
    ) -> tuple[dict[str, Any], SourceNode]:
        data, nodes = dict(base), _child_map(base_tree)
        overlay_nodes = _child_map(overlay_tree)
        for key, value in overlay.items():
            child_path = (*path, key)
            if key not in base:
                data[key], nodes[key] = value, overlay_nodes[key]
            elif value is None:
                self.replaced_paths.add(child_path)
                del data[key], nodes[key]
            elif isinstance(base[key], dict) and isinstance(value, dict):
                data[key], nodes[key] = self.merge_maps(
                    base[key], nodes[key], value, overlay_nodes[key], child_path
                )
            elif not path and key in self.named_lists and _are_lists(base[key], value):
                data[key], nodes[key] = self.merge_lists(
                    base[key], nodes[key], value, overlay_nodes[key], key
                )
            else:
                self.replaced_paths.add(child_path)
                data[key], nodes[key] = value, overlay_nodes[key]
        return data, SourceNode(
            base_tree.file, base_tree.key_position, base_tree.value_position, nodes
        )

    def merge_lists(
        self,
        base: list[Any],
        base_tree: SourceNode,
        overlay: list[Any],
        overlay_tree: SourceNode,
        key: str,
    ) -> tuple[list[Any], SourceNode]:
        """Elements with a name that is below merge into it, the others come after all of them."""
        data, nodes = list(base), list(_child_list(base_tree))
        indexes_by_name = {name: index for index, item in enumerate(base) if (name := _name(item))}
        new_indexes = self.new_indexes.setdefault(key, [])
        for item, tree in zip(overlay, _child_list(overlay_tree), strict=True):
            index = indexes_by_name.pop(_name(item), None)
            if index is None:
                index = len(data)
                data.append(item)
                nodes.append(tree)
            else:
                data[index], nodes[index] = self.merge_maps(
                    data[index], nodes[index], item, tree, (key, index)
                )
            new_indexes.append(index)
        return data, SourceNode(
            base_tree.file, base_tree.key_position, base_tree.value_position, nodes
        )


def _child_map(tree: SourceNode) -> dict[str, SourceNode]:
    return dict(tree.children) if isinstance(tree.children, dict) else {}


def _child_list(tree: SourceNode) -> list[SourceNode]:
    return tree.children if isinstance(tree.children, list) else []


def _are_lists(value: object, other: object) -> bool:
    return isinstance(value, list) and isinstance(other, list)


def _name(item: object) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""
