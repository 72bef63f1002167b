"""Policies that load and say something else than their authors mean.

Knows documents as they are written, one at a time; what takes a whole route to see is the business
of `routes`. Reports codes and paths, never an error: whatever is wrong here is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from authz_sidecar.core.positions import Step

Path = tuple["Step", ...]


class Severity(StrEnum):
    WARNING = "warning"
    HINT = "hint"
    """May well be meant: never a failure, not even where warnings are."""


@dataclass(frozen=True, slots=True)
class Code:
    """`fix` says in words what to write instead."""

    severity: Severity
    message: str
    fix: str


class Found(NamedTuple):
    code: str
    path: Path


_WARNING, _HINT = Severity.WARNING, Severity.HINT

CODES: Mapping[str, Code] = MappingProxyType(
    {
        "AZ101": Code(
            _WARNING,
            "several operators of one rule are alternatives: any of them is enough",
            "write one operator a rule, and all conditions that belong together in one `and`",
        ),
        "AZ102": Code(
            _HINT,
            "`nor` holds as soon as one of its criteria does not",
            "write `not` where none of them may hold",
        ),
        "AZ103": Code(
            _WARNING,
            "a list is compared as one value and never matches",
            "write `in: […]` for a string, or one criterion for each value in an `or`",
        ),
        "AZ104": Code(
            _HINT,
            "`is` wants a list of exactly this one value",
            "write `has` where others may stand beside it",
        ),
        "AZ105": Code(
            _WARNING,
            "`reject` never holds, so that this denies nobody",
            "write `accept` in a `deny` to shut everybody out",
        ),
        "AZ106": Code(
            _WARNING,
            "is empty and never applies, not even an empty `and`",
            "leave it out, or say `accept: true`",
        ),
        "AZ107": Code(
            _WARNING,
            "a matcher without an operator matches every value",
            "write `authenticated_user: true`, or compare with something",
        ),
        "AZ108": Code(
            _WARNING,
            "one of several negations in an `or` always holds",
            "put them in an `and`, or list the values in one `not_in`",
        ),
        "AZ109": Code(
            _HINT,
            "compares letters, not segments: `/admin` is the beginning of `/administrator` too",
            "end the prefix with `/`, and compare the bare path with `is`",
        ),
        "AZ110": Code(
            _WARNING,
            "what is compared is always text, this is none and never equal to it",
            "put it in quotes",
        ),
        "AZ111": Code(
            _WARNING,
            "its value is ignored, also `false`",
            "write `true`, or leave the criterion out",
        ),
        "AZ201": Code(
            _WARNING,
            "can never answer",
            "remove it, or give it a place of its own",
        ),
        "AZ202": Code(
            _WARNING,
            "this asks who the user is, so that everybody has to sign in to the public route",
            "deny by something else than identity, or make the route a protected one",
        ),
        "AZ203": Code(
            _WARNING,
            "nobody can pass: no rule of the route can ever allow anything",
            "add an `allow`; rules that deny only take away",
        ),
        "AZ204": Code(
            _WARNING,
            "everybody passes already: the route is public, and this allows nothing more",
            "remove it, or remove `allow_public_unauthenticated_access`",
        ),
        "AZ205": Code(
            _WARNING,
            "says nothing about trust: certificates of any authority are compared",
            "add `deny: {or: [{invalid_client_certificate: true}]}` to the route",
        ),
    }
)

_STRINGS = frozenset(
    {"domain", "email", "http_header", "http_method", "http_path", "query", "user"}
)
_LISTS = frozenset({"claim", "groups"})
_IGNORED = frozenset({"accept", "authenticated_user", "cors_preflight",
                      "invalid_client_certificate", "reject"})  # fmt: skip
_NEGATIVE = frozenset({"not", "not_in", "exclude"})
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


def _criterion(written: str, data: object) -> Iterator[str]:
    name = written.partition("/")[0]
    if name in _IGNORED and (data is False or data is None):
        yield "AZ111"
    if name in _LISTS:
        yield from _list_matcher(data)
    elif name in _STRINGS:
        yield from _string_matcher(data)


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


def _all_text(operand: object) -> bool:
    return all(isinstance(each, str) for each in _listed(operand))


def _listed(document: object) -> Sequence[object]:
    return document if isinstance(document, list | tuple) else (document,)


_COMMENT = re.compile(r"#\s*lint:\s*ignore\[([A-Z0-9,\s]*)\]")

Lines = Callable[[str], Sequence[str]]
"""The lines of a file by its name."""


def is_ignored(code: str, *, file: str, line: int, lines: Lines) -> bool:
    """Whether a comment on the line, or alone on the line above it, takes this code away."""
    text = lines(file)
    own = text[line - 1] if 0 < line <= len(text) else ""
    above = text[line - 2] if 1 < line <= len(text) + 1 else ""
    comments = [own, above if above.lstrip().startswith("#") else ""]
    return any(
        code in {each.strip() for each in found[1].split(",")}
        for comment in comments
        for found in _COMMENT.finditer(comment)
    )
