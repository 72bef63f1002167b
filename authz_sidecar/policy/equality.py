"""Equality of JSON values as the policy language means it: type-strict, numbers by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def equal(left: object, right: object) -> bool:
    """`true` is not `1`, `"1"` is not `1`, but `1.0` is `1`."""
    if isinstance(left, str) or isinstance(right, str):
        return type(left) is type(right) and left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, Sequence) and isinstance(right, Sequence):
        return len(left) == len(right) and all(map(equal, left, right))
    return left is None and right is None
