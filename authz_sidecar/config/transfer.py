"""Serializes a configuration for another process of the same version, in pieces that are each quick
to read: unpickling holds the interpreter lock, so other threads wait for a whole piece."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.document import DocumentSourceMap, SourceNode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.config.schema import Config

ROUTES = "routes"
PIECE = 50
"""Routes in a piece, which take about a millisecond."""


def dumps(config: Config) -> bytes:
    """Return the configuration as bytes for `loads`."""
    source_map = config.source_map
    route_nodes: Sequence[SourceNode] | None = None
    if isinstance(source_map, DocumentSourceMap) and isinstance(source_map.root.children, dict):
        routes_node = source_map.root.children.get(ROUTES)
        if routes_node is not None and isinstance(routes_node.children, list):
            route_nodes = routes_node.children
            routes = replace(routes_node, children=[])
            tree = replace(source_map.root, children=source_map.root.children | {ROUTES: routes})
            source_map = DocumentSourceMap(tree)
    rest = config.model_copy(update={ROUTES: ()}).with_source_map(source_map)
    return pickle.dumps((pickle.dumps(rest), _pieces(config.routes), _pieces(route_nodes or ())))


def loads(written: bytes) -> Config:
    """Return the configuration that `dumps` wrote. `written` must come from this very program,
    because unpickling can run any code."""
    rest, routes, route_nodes = pickle.loads(written)  # noqa: S301
    config: Config = pickle.loads(rest)  # noqa: S301
    source_map = config.source_map
    if route_nodes:
        tree = source_map.root  # type: ignore[attr-defined] # `dumps` has cut this one
        routes_node = replace(tree.children[ROUTES], children=_joined(route_nodes))
        source_map = DocumentSourceMap(
            replace(tree, children=tree.children | {ROUTES: routes_node})
        )
    return config.model_copy(update={ROUTES: tuple(_joined(routes))}).with_source_map(source_map)


def _pieces(items: Sequence[Any]) -> list[bytes]:
    starts = range(0, len(items), PIECE)
    return [pickle.dumps(items[start : start + PIECE]) for start in starts]


def _joined(pieces: Sequence[bytes]) -> list[Any]:
    return list(chain.from_iterable(pickle.loads(piece) for piece in pieces))  # noqa: S301
