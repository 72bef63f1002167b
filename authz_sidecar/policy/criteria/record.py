"""`record`: a field of the operator's record about the user or the client's address."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from authz_sidecar.core.networks import unmap_ipv4
from authz_sidecar.core.suggest import unknown_name_message as unknown_name
from authz_sidecar.core.types import CheckRequest, RequestAttribute
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.matchers import LIST_OPERATORS, STRING_OPERATORS, OperandError, json_equal
from authz_sidecar.policy.reasons import UNAUTHENTICATED, outcome_of_failure, outcome_of_success

if TYPE_CHECKING:
    from authz_sidecar.policy.subject import Context, Subject

_ADDRESS = frozenset({RequestAttribute.CLIENT_ADDRESS})
_BY = ("address", "user")
_KEYS = ("by", "field", "type")

ValueTest = Callable[[object], bool]
"""Whether a value of the field matches; the value is None without a record or without the field."""


def record(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `record`; None after reporting problems."""
    if not isinstance(data, Mapping):
        compile_context.problem("takes an object with `type`, `field` and an operator")
        return None
    before = len(compile_context.problems)
    table, field = _name(data, "type", compile_context), _name(data, "field", compile_context)
    by = data.get("by", "user")
    if by not in _BY:
        compile_context.problem(unknown_name("way to look up a record", by, _BY), "by")
    tests = tuple(
        test
        for name, operand in data.items()
        if name not in _KEYS
        and (test := _operator(str(name), operand, compile_context)) is not None
    )
    if len(compile_context.problems) > before:
        return None
    if not tests:
        compile_context.problem("needs an operator: `is`, `exists`, `>=`, …")
        return None

    def held(row: Mapping[str, object] | None) -> bool:
        value = None if row is None else row.get(field)
        return all(test(value) for test in tests)

    return (_of_user if by == "user" else _of_address)(table, held, compile_context)


def table_of(criterion: Criterion) -> tuple[str, str] | None:
    """Returns the table of a `record` criterion and whether it is looked up by `user` or by
    `address`; None for other criteria."""
    data = criterion.data
    if criterion.name != "record" or not isinstance(data, Mapping):
        return None
    return str(data["type"]), str(data.get("by", "user"))


def _of_user(
    table: str, held: Callable[[Mapping[str, object] | None], bool], compile_context: CompileContext
) -> Criterion:
    passing, failing = outcome_of_success("record-ok"), outcome_of_failure("record-unauthorized")
    unknown = compile_context.when_unknown(code="record-unknown", failing=failing)

    def test(_request: object, subject: Subject | None, _now: float, context: Context) -> int:
        if subject is None:
            return UNAUTHENTICATED
        users = None if context.records is None else context.records.users(table)
        if users is None or subject.user is None:
            return unknown
        return passing if held(users.get(subject.user)) else failing

    return compile_context.criterion(test, Dependency.SUBJECT | Dependency.RECORDS)


def _of_address(
    table: str, held: Callable[[Mapping[str, object] | None], bool], compile_context: CompileContext
) -> Criterion:
    passing, failing = outcome_of_success("record-ok"), outcome_of_failure("record-unauthorized")
    unknown = compile_context.when_unknown(code="record-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, context: Context) -> int:
        networks = None if context.records is None else context.records.networks(table)
        if networks is None or request.client is None:
            return unknown
        return passing if held(networks.find(unmap_ipv4(request.client))) else failing

    return compile_context.criterion(
        test, Dependency.REQUEST | Dependency.RECORDS, attributes=_ADDRESS
    )


def _name(data: Mapping[str, object], key: str, compile_context: CompileContext) -> str:
    name = data.get(key)
    if isinstance(name, str) and name:
        return name
    compile_context.problem(f"needs `{key}`, a string")
    return ""


def _operator(name: str, operand: object, compile_context: CompileContext) -> ValueTest | None:
    try:
        return _value_test(name, operand)
    except KeyError:
        known = ("is", "not", "exists", *_COMPARISONS, *STRING_OPERATORS, *LIST_OPERATORS)
        compile_context.problem(unknown_name("record operator", name, {*known}), name)
    except OperandError as error:
        compile_context.problem(f"`{name}` {error}", name)
    return None


def _value_test(name: str, operand: object) -> ValueTest:
    """A missing field matches nothing but `exists: false`."""
    if name == "exists":
        if not isinstance(operand, bool):
            raise OperandError("takes `true` or `false`")
        return lambda value: (value is not None) is operand
    if name in ("is", "="):
        return lambda value: value is not None and json_equal(value, operand)
    if name == "not":
        return lambda value: value is not None and not json_equal(value, operand)
    if name in _COMPARISONS:
        return _comparison(name, operand)
    if name in LIST_OPERATORS:
        of_list = LIST_OPERATORS[name](operand)
        return lambda value: value is not None and of_list(_listed(value))
    of_string = STRING_OPERATORS[name](operand)
    return lambda value: isinstance(value, str) and of_string(value)


def _comparison(name: str, operand: object) -> ValueTest:
    compare = _COMPARISONS[name]
    if isinstance(operand, bool) or not isinstance(operand, int | float):
        raise OperandError("takes a number")
    limit = operand

    def test(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return bool(compare(value, limit))

    return test


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else (value,)


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
