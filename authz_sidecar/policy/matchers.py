"""Matchers: the objects `{is: …, starts_with: …}` by which most criteria compare.

Several operators in one matcher all have to hold; an empty matcher adds no condition; anything but
an object is short for `is` (one string) or `has` (a list). Knows values only, not where they are from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.policy.equality import equal
from authz_sidecar.policy.regex import PatternError, whole_match
from authz_sidecar.policy.suggest import unknown

if TYPE_CHECKING:
    from authz_sidecar.policy.criteria.base import Site

StringTest = Callable[[str], bool]
ListTest = Callable[[Sequence[object]], bool]

V = TypeVar("V")


def string_matcher(data: object, site: Site) -> StringTest | None:
    """For criteria that compare one string. None after reporting what is wrong."""
    return _matcher(data, site, short="is", operators=_STRING_OPERATORS, kind="string")


def list_matcher(data: object, site: Site) -> ListTest | None:
    """For criteria that compare a list. None after reporting what is wrong."""
    return _matcher(data, site, short="has", operators=_LIST_OPERATORS, kind="string list")


class _OperandError(ValueError):
    pass


def _matcher(
    data: object,
    site: Site,
    *,
    short: str,
    operators: Mapping[str, Callable[[object], Callable[[V], bool]]],
    kind: str,
) -> Callable[[V], bool] | None:
    if not isinstance(data, Mapping):
        return operators[short](data)
    tests: list[Callable[[V], bool]] = []
    sound = True
    for name, operand in data.items():
        try:
            tests.append(operators[name](operand))
        except KeyError:
            sound = False
            site.problem(unknown(f"{kind} matcher operator", name, operators), name)
        except _OperandError as wrong:
            sound = False
            site.problem(f"`{name}` {wrong}", name)
    if not sound:
        return None
    return tests[0] if len(tests) == 1 else partial(_all_hold, tuple(tests))


def _all_hold(tests: tuple[Callable[[V], bool], ...], value: V) -> bool:
    return all(test(value) for test in tests)


def _is(operand: object) -> StringTest:
    if isinstance(operand, str):
        return operand.__eq__
    return _never


def _not(operand: object) -> StringTest:
    if isinstance(operand, str):
        return operand.__ne__
    return _always


def _never(_value: object) -> bool:
    return False


def _always(_value: object) -> bool:
    return True


def _text(operand: object) -> str:
    if not isinstance(operand, str):
        raise _OperandError("takes one string")
    return operand


def _starts_with(operand: object) -> StringTest:
    text = _text(operand)
    return lambda value: value.startswith(text)


def _ends_with(operand: object) -> StringTest:
    text = _text(operand)
    return lambda value: value.endswith(text)


def _contains(operand: object) -> StringTest:
    text = _text(operand)
    return lambda value: text in value


def _strings(operand: object) -> frozenset[str]:
    if not isinstance(operand, list | tuple):
        raise _OperandError("takes an array of strings")
    return frozenset(value for value in operand if isinstance(value, str))


def _in(operand: object) -> StringTest:
    return _strings(operand).__contains__


def _not_in(operand: object) -> StringTest:
    strings = _strings(operand)
    return lambda value: value not in strings


def _matches(operand: object) -> StringTest:
    try:
        return whole_match(_text(operand))
    except PatternError as wrong:
        raise _OperandError(str(wrong)) from None


def _has(operand: object) -> ListTest:
    if isinstance(operand, str):
        return lambda values: operand in values
    return lambda values: any(equal(value, operand) for value in values)


def _is_only(operand: object) -> ListTest:
    return lambda values: len(values) == 1 and equal(values[0], operand)


def _exclude(operand: object) -> ListTest:
    if isinstance(operand, str):
        return lambda values: operand not in values
    return lambda values: not any(equal(value, operand) for value in values)


_STRING_OPERATORS = {
    "is": _is,
    "not": _not,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "contains": _contains,
    "in": _in,
    "not_in": _not_in,
    "matches": _matches,
}

_LIST_OPERATORS = {"has": _has, "is": _is_only, "exclude": _exclude}
