"""Policies that load and say something else than their authors mean.

Knows documents as they are written, one at a time; what takes a whole route to see is the business
of `routes`. Reports codes and paths, never an error: whatever is wrong here is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import Step

Path = tuple["Step", ...]


class Found(NamedTuple):
    code: str
    path: Path


_STRINGS = frozenset(
    {"domain", "email", "http_header", "http_method", "http_path", "query", "user"}
)
_LISTS = frozenset({"claim", "groups"})
_IGNORED = frozenset({"accept", "authenticated_user", "cors_preflight",
                      "invalid_client_certificate", "reject"})  # fmt: skip
_NEGATIVE = frozenset({"not", "not_in", "exclude"})
_WHOLE = ("is", "not", "in", "not_in")
# What stands at the beginning of a value, if it stands there at all. Separators stay escaped.
_POSSIBLE = {
    "domain": re.compile(r"[^@]*\Z"),
    "http_method": re.compile(r"[^a-z]*\Z"),
    "http_path": re.compile(r"(?:/(?:[^%?]|%(?:2f|5c|(?![0-9A-Fa-f]{2})))*)?\Z"),
}
_KINDS = ("and", "or", "not", "nor")


def lint(document: object, *, at: Path) -> Iterator[Found]:
    """Everything about one document. Whatever is no sound policy is passed over in silence."""
    several = isinstance(document, list | tuple)
    for place, rules in enumerate(_listed(document)):
        path = (*at, place) if several else at
        if isinstance(rules, Mapping):
            for action in ("allow", "deny"):
                if isinstance(rule := rules.get(action), Mapping):
                    yield from _rule(action, rule, (*path, action))


def _rule(action: str, rule: Mapping[str, object], path: Path) -> Iterator[Found]:
    operators = [key for key in rule if key in _KINDS]
    if len(operators) > 1:
        yield Found("AZ101", path)
    if not operators:
        yield Found("AZ106", path)
    for operator in operators:
        if operator == "nor":
            yield Found("AZ102", (*path, operator))
        if isinstance(criteria := rule[operator], list | tuple):
            yield from _operator(action, operator, criteria, (*path, operator))


def _operator(
    action: str, operator: str, criteria: Sequence[object], path: Path
) -> Iterator[Found]:
    if not criteria:
        yield Found("AZ106", path)
    if action == "allow" and operator == "or":
        yield from _negations(criteria, path)
    # Where matching more means that more people pass.
    widens = (action == "allow") is (operator in ("and", "or"))
    for place, criterion in enumerate(criteria):
        for name, data in criterion.items() if isinstance(criterion, Mapping) else ():
            where = (*path, place, name)
            if action == "deny" and name == "reject" and operator in ("and", "or"):
                yield Found("AZ105", where)
            if widens and name == "http_path" and _is_part_of_a_segment(data):
                yield Found("AZ109", (*where, "starts_with"))
            if widens and name in ("domain", "email") and _is_part_of_a_label(data):
                yield Found("AZ112", (*where, "ends_with"))
            yield from (Found(code, where) for code in dict.fromkeys(_criterion(str(name), data)))


def _negations(criteria: Sequence[object], path: Path) -> Iterator[Found]:
    """Two negations of one value: whoever is not the one is surely not the other."""
    seen: set[object] = set()
    for place, criterion in enumerate(criteria):
        for name, data in criterion.items() if isinstance(criterion, Mapping) else ():
            if isinstance(data, Mapping) and data and data.keys() <= _NEGATIVE:
                if name in seen:
                    yield Found("AZ108", (*path, place, name))
                seen.add(name)


def _is_part_of_a_segment(data: object) -> bool:
    prefix = data.get("starts_with") if isinstance(data, Mapping) else None
    return isinstance(prefix, str) and not prefix.endswith("/")


def _is_part_of_a_label(data: object) -> bool:
    suffix = data.get("ends_with") if isinstance(data, Mapping) else None
    return isinstance(suffix, str) and "@" not in suffix and not suffix.startswith(".")


def _criterion(written: str, data: object) -> Iterator[str]:
    name = written.partition("/")[0]
    if name in _IGNORED and (data is False or data is None):
        yield "AZ111"
    if name in _LISTS:
        yield from _list_matcher(data)
    elif name in _STRINGS:
        yield from _string_matcher(data)
    possible = _POSSIBLE.get(name)
    if possible is not None and not all(map(possible.match, _compared(data))):
        yield "AZ113"


def _list_matcher(data: object) -> Iterator[str]:
    if data == {}:
        yield "AZ107"
    operands = data if isinstance(data, Mapping) else {"has": data}
    for operator, operand in operands.items():
        if isinstance(operand, list | tuple):
            yield "AZ103"
        elif operator == "is":
            yield "AZ104"


def _string_matcher(data: object) -> Iterator[str]:
    if data == {}:
        yield "AZ107"
    operands = data if isinstance(data, Mapping) else {"is": data}
    for operator, operand in operands.items():
        if operator in ("is", "not") and isinstance(operand, list | tuple):
            yield "AZ103"
        elif (operator in ("is", "not") and not isinstance(operand, str)) or (
            operator in ("in", "not_in") and not _all_text(operand)
        ):
            yield "AZ110"


def _compared(data: object) -> Iterator[str]:
    """The texts that a value has to be, or has to begin with."""
    operands = data if isinstance(data, Mapping) else {"is": data}
    for operator, operand in operands.items():
        if operator in _WHOLE or operator == "starts_with":
            yield from (text for text in _listed(operand) if isinstance(text, str))


def _all_text(operand: object) -> bool:
    return all(isinstance(each, str) for each in _listed(operand))


def _listed(document: object) -> Sequence[object]:
    return document if isinstance(document, list | tuple) else (document,)
