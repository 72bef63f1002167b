"""A configuration as bytes for another process of the same version, in pieces of which none takes
long to read: a thread that reads one lets no other run before it has ended."""

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
"""Routes; a millisecond or so."""


def dumps(config: Config) -> bytes:
    """Return what `loads` reads."""
    positions = config.source_map
    places: Sequence[SourceNode] | None = None
    if isinstance(positions, DocumentSourceMap) and isinstance(positions.root.children, dict):
        below = positions.root.children.get(ROUTES)
        if below is not None and isinstance(below.children, list):
            places = below.children
            routes = replace(below, children=[])
            tree = replace(positions.root, children=positions.root.children | {ROUTES: routes})
            positions = DocumentSourceMap(tree)
    rest = config.model_copy(update={ROUTES: ()}).with_source_map(positions)
    return pickle.dumps((pickle.dumps(rest), _pieces(config.routes), _pieces(places or ())))


def loads(written: bytes) -> Config:
    """Return the configuration, as it was. `written` must come from this very program: reading it
    runs what it says."""
    rest, routes, places = pickle.loads(written)  # noqa: S301
    config: Config = pickle.loads(rest)  # noqa: S301
    positions = config.source_map
    if places:
        tree = positions.root  # type: ignore[attr-defined] # `dumps` has cut this one
        below = replace(tree.children[ROUTES], children=_together(places))
        positions = DocumentSourceMap(replace(tree, children=tree.children | {ROUTES: below}))
    return config.model_copy(update={ROUTES: tuple(_together(routes))}).with_source_map(positions)


def _pieces(items: Sequence[Any]) -> list[bytes]:
    starts = range(0, len(items), PIECE)
    return [pickle.dumps(items[start : start + PIECE]) for start in starts]


def _together(pieces: Sequence[bytes]) -> list[Any]:
    return list(chain.from_iterable(pickle.loads(piece) for piece in pieces))  # noqa: S301
