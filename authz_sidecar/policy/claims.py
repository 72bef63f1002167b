"""Looks up the values of `claim/<path>`. Pomerium flattens claims at sign-in; ours keep their
shape, so a dotted key is looked up in both forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_DEEPEST = 5


def values_at(claims: Mapping[str, object], path: str) -> Sequence[object]:
    """Returns the values of a claim: those of the exact key, else those of the path's segments as
    nested keys (two to five of them).

    A missing claim is empty, a single value a list of one. An object has no values: its members
    have paths of their own.
    """
    if path in claims:
        return _listed(claims[path])
    segments = path.replace(".", "/").split("/")
    if not 2 <= len(segments) <= _DEEPEST:
        return ()
    value: object = claims
    for segment in segments:
        if not isinstance(value, Mapping) or segment not in value:
            return ()
        value = value[segment]
    return _listed(value)


def _listed(value: object) -> Sequence[object]:
    if isinstance(value, list | tuple):
        return value
    return () if isinstance(value, Mapping) else (value,)
