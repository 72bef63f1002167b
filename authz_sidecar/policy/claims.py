"""How `claim/<path>` finds its values. Upstream flattens claims at sign-in; ours keep their shape,
so dotted keys are looked for in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_DEEPEST = 5


def values_at(claims: Mapping[str, object], path: str) -> Sequence[object]:
    """The exact key first, then the path's segments as nested keys (two to five of them).

    A missing claim is the empty list, one value is a list of one. An object is no value: its
    members have paths of their own.
    """
    if path in claims:
        return _listed(claims[path])
    segments = path.replace(".", "/").split("/")
    if not 2 <= len(segments) <= _DEEPEST:
        return ()
    found: object = claims
    for segment in segments:
        if not isinstance(found, Mapping) or segment not in found:
            return ()
        found = found[segment]
    return _listed(found)


def _listed(value: object) -> Sequence[object]:
    if isinstance(value, list | tuple):
        return value
    return () if isinstance(value, Mapping) else (value,)
