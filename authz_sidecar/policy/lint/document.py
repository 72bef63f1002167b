"""Lints one policy document.

Knows a document as it is written; `routes` checks what takes a whole route. Reports codes and
paths, never an error: a document with lint is still valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import PathStep

DocumentPath = tuple["PathStep", ...]


class LintMatch(NamedTuple):
    """A lint code at a path of the document."""

    code: str
    path: DocumentPath


_STRING_CRITERIA = frozenset(
    {"domain", "email", "http_header", "http_method", "http_path", "query", "user"}
)
_LIST_CRITERIA = frozenset({"claim", "groups"})
_VALUELESS_CRITERIA = frozenset({"accept", "authenticated_user", "cors_preflight",
                      "invalid_client_certificate", "reject"})  # fmt: skip
_NEGATIONS = frozenset({"not", "not_in", "exclude"})
_WHOLE_VALUE_OPERATORS = ("is", "not", "in", "not_in")
# What stands at the beginning of a value, if it stands there at all. Separators stay escaped.
_POSSIBLE_VALUES = {
    "domain": re.compile(r"[^@]*\Z"),
    "http_method": re.compile(r"[^a-z]*\Z"),
    "http_path": re.compile(r"(?:/(?:[^%?]|%(?:2f|5c|(?![0-9A-Fa-f]{2})))*)?\Z"),
}
_CONNECTIVES = ("and", "or", "not", "nor")


def find_lint(document: object, *, root_path: DocumentPath) -> Iterator[LintMatch]:
    """Yields the lint of one document. A part that is not a valid policy is skipped."""
    is_list = isinstance(document, list | tuple)
    for index, rules in enumerate(_as_list(document)):
        path = (*root_path, index) if is_list else root_path
        if isinstance(rules, Mapping):
            for action in ("allow", "deny"):
                if isinstance(rule := rules.get(action), Mapping):
                    yield from _lint_rule(action, rule, (*path, action))


def _lint_rule(action: str, rule: Mapping[str, object], path: DocumentPath) -> Iterator[LintMatch]:
    operators = [key for key in rule if key in _CONNECTIVES]
    if len(operators) > 1:
        yield LintMatch("AZ101", path)
    if not operators:
        yield LintMatch("AZ106", path)
    for operator in operators:
        if operator == "nor":
            yield LintMatch("AZ102", (*path, operator))
        if isinstance(criteria := rule[operator], list | tuple):
            yield from _lint_operator(action, operator, criteria, (*path, operator))


def _lint_operator(
    action: str, operator: str, criteria: Sequence[object], path: DocumentPath
) -> Iterator[LintMatch]:
    if not criteria:
        yield LintMatch("AZ106", path)
    if action == "allow" and operator == "or":
        yield from _lint_negations(criteria, path)
    # Where matching more means that more people pass.
    widens = (action == "allow") is (operator in ("and", "or"))
    for index, criterion in enumerate(criteria):
        for name, data in criterion.items() if isinstance(criterion, Mapping) else ():
            criterion_path = (*path, index, name)
            if action == "deny" and name == "reject" and operator in ("and", "or"):
                yield LintMatch("AZ105", criterion_path)
            if widens and name == "http_path" and _is_partial_segment(data):
                yield LintMatch("AZ109", (*criterion_path, "starts_with"))
            if widens and name in ("domain", "email") and _is_partial_label(data):
                yield LintMatch("AZ112", (*criterion_path, "ends_with"))
            yield from (
                LintMatch(code, criterion_path)
                for code in dict.fromkeys(_lint_criterion(str(name), data))
            )


def _lint_negations(criteria: Sequence[object], path: DocumentPath) -> Iterator[LintMatch]:
    """Two negations of one value in an `or`: every value passes at least one of them."""
    negated: set[object] = set()
    for index, criterion in enumerate(criteria):
        for name, data in criterion.items() if isinstance(criterion, Mapping) else ():
            if isinstance(data, Mapping) and data and data.keys() <= _NEGATIONS:
                if name in negated:
                    yield LintMatch("AZ108", (*path, index, name))
                negated.add(name)


def _is_partial_segment(data: object) -> bool:
    prefix = data.get("starts_with") if isinstance(data, Mapping) else None
    return isinstance(prefix, str) and not prefix.endswith("/")


def _is_partial_label(data: object) -> bool:
    suffix = data.get("ends_with") if isinstance(data, Mapping) else None
    return isinstance(suffix, str) and "@" not in suffix and not suffix.startswith(".")


def _lint_criterion(key: str, data: object) -> Iterator[str]:
    name = key.partition("/")[0]
    if name in _VALUELESS_CRITERIA and (data is False or data is None):
        yield "AZ111"
    if name in _LIST_CRITERIA:
        yield from _lint_list_matcher(data)
    elif name in _STRING_CRITERIA:
        yield from _lint_string_matcher(data)
    pattern = _POSSIBLE_VALUES.get(name)
    if pattern is not None and not all(map(pattern.match, _compared_texts(data))):
        yield "AZ113"


def _lint_list_matcher(data: object) -> Iterator[str]:
    if data == {}:
        yield "AZ107"
    operands = data if isinstance(data, Mapping) else {"has": data}
    for operator, operand in operands.items():
        if isinstance(operand, list | tuple):
            yield "AZ103"
        elif operator == "is":
            yield "AZ104"


def _lint_string_matcher(data: object) -> Iterator[str]:
    if data == {}:
        yield "AZ107"
    operands = data if isinstance(data, Mapping) else {"is": data}
    for operator, operand in operands.items():
        if operator in ("is", "not") and isinstance(operand, list | tuple):
            yield "AZ103"
        elif (operator in ("is", "not") and not isinstance(operand, str)) or (
            operator in ("in", "not_in") and not _is_all_text(operand)
        ):
            yield "AZ110"


def _compared_texts(data: object) -> Iterator[str]:
    """The texts that a value has to equal or begin with."""
    operands = data if isinstance(data, Mapping) else {"is": data}
    for operator, operand in operands.items():
        if operator in _WHOLE_VALUE_OPERATORS or operator == "starts_with":
            yield from (text for text in _as_list(operand) if isinstance(text, str))


def _is_all_text(operand: object) -> bool:
    return all(isinstance(item, str) for item in _as_list(operand))


def _as_list(document: object) -> Sequence[object]:
    return document if isinstance(document, list | tuple) else (document,)
