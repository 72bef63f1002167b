"""Matchers: the objects `{is: …, starts_with: …}` by which most criteria compare.

Several operators in one matcher all have to hold; an empty matcher adds no condition; data other
than an object is short for `is` (one string) or `has` (a list). Knows values only, not where they
come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.policy.regex import RegexError, compile_full_match

if TYPE_CHECKING:
    from authz_sidecar.policy.criteria.base import CompileContext


def json_equal(left: object, right: object) -> bool:
    """Whether two JSON values are equal: type-strict, numbers by value. `true` is not `1`, `"1"` is
    not `1`, but `1.0` is `1`."""
    if isinstance(left, str) or isinstance(right, str):
        return type(left) is type(right) and left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(
            json_equal(left[key], right[key]) for key in left
        )
    if isinstance(left, Sequence) and isinstance(right, Sequence):
        return len(left) == len(right) and all(map(json_equal, left, right))
    return left is None and right is None


StringTest = Callable[[str], bool]
ListTest = Callable[[Sequence[object]], bool]

V = TypeVar("V")


def string_matcher(data: object, compile_context: CompileContext) -> StringTest | None:
    """Returns a matcher for one string, or None after reporting the problems of its data."""
    return _matcher(data, compile_context, short="is", operators=STRING_OPERATORS, kind="string")


def list_matcher(data: object, compile_context: CompileContext) -> ListTest | None:
    """Returns a matcher for a list, or None after reporting the problems of its data."""
    return _matcher(
        data, compile_context, short="has", operators=LIST_OPERATORS, kind="string list"
    )


class OperandError(ValueError):
    """An operand of the wrong type; the message says what the operator takes and follows its name."""


def operators_of(data: object, compile_context: CompileContext) -> tuple[StringTest, ...] | None:
    """Returns the operators of a string matcher separately, for criteria that quantify over each;
    None after reporting problems."""
    return _tests(data, compile_context, short="is", operators=STRING_OPERATORS, kind="string")


def _matcher(
    data: object,
    compile_context: CompileContext,
    *,
    short: str,
    operators: Mapping[str, Callable[[object], Callable[[V], bool]]],
    kind: str,
) -> Callable[[V], bool] | None:
    tests = _tests(data, compile_context, short=short, operators=operators, kind=kind)
    if tests is None:
        return None
    return tests[0] if len(tests) == 1 else partial(_all_hold, tests)


def _tests(
    data: object,
    compile_context: CompileContext,
    *,
    short: str,
    operators: Mapping[str, Callable[[object], Callable[[V], bool]]],
    kind: str,
) -> tuple[Callable[[V], bool], ...] | None:
    if not isinstance(data, Mapping):
        return (operators[short](data),)
    tests: list[Callable[[V], bool]] = []
    for name, operand in data.items():
        try:
            tests.append(operators[name](operand))
        except KeyError:
            compile_context.problem(
                unknown_name_message(f"{kind} matcher operator", name, operators), str(name)
            )
        except OperandError as error:
            compile_context.problem(f"`{name}` {error}", name)
    return tuple(tests) if len(tests) == len(data) else None


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
        raise OperandError("takes one string")
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
        raise OperandError("takes an array of strings")
    return frozenset(value for value in operand if isinstance(value, str))


def _in(operand: object) -> StringTest:
    return _strings(operand).__contains__


def _not_in(operand: object) -> StringTest:
    strings = _strings(operand)
    return lambda value: value not in strings


def _matches(operand: object) -> StringTest:
    try:
        return compile_full_match(_text(operand))
    except RegexError as error:
        raise OperandError(str(error)) from None


def _has(operand: object) -> ListTest:
    if isinstance(operand, str):
        return lambda values: operand in values
    return lambda values: any(json_equal(value, operand) for value in values)


def _is_only(operand: object) -> ListTest:
    return lambda values: len(values) == 1 and json_equal(values[0], operand)


def _exclude(operand: object) -> ListTest:
    if isinstance(operand, str):
        return lambda values: operand not in values
    return lambda values: not any(json_equal(value, operand) for value in values)


STRING_OPERATORS = {
    "is": _is,
    "not": _not,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "contains": _contains,
    "in": _in,
    "not_in": _not_in,
    "matches": _matches,
}

LIST_OPERATORS = {"has": _has, "is": _is_only, "exclude": _exclude}
