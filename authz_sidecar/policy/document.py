"""The grammar of a policy document, as far as it can be judged without knowing any criterion.

A document is one object or an array of objects with the keys `allow` and `deny`; each holds
operators, an operator an array of criteria, a criterion one key. Operators do not nest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from authz_sidecar.core.source_locations import Positions, Step
from authz_sidecar.core.suggest import unknown

if TYPE_CHECKING:
    from authz_sidecar.errors import Problem

Path = tuple[Step, ...]


class Action(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class Kind(StrEnum):
    AND = "and"
    OR = "or"
    NOT = "not"
    NOR = "nor"


@dataclass(frozen=True, slots=True)
class WrittenCriterion:
    name: str
    data: object
    path: Path


@dataclass(frozen=True, slots=True)
class WrittenOperator:
    """`unavailable_denies`: the rule says what to do about facts that a proxy cannot deliver."""

    action: Action
    kind: Kind
    criteria: tuple[WrittenCriterion, ...]
    path: Path
    unavailable_denies: bool = False


def parse(
    document: object, *, where: Positions, at: Path, problems: list[Problem]
) -> tuple[WrittenOperator, ...]:
    """All operators that are sound, in order; whatever is not is added to `problems`.

    An empty operator is skipped: an `and` of nothing does not allow.
    """
    reader = _Reader(where, problems)
    return tuple(operator for operator in reader.document(document, at) if operator.criteria)


@dataclass(frozen=True, slots=True)
class _Reader:
    where: Positions
    problems: list[Problem]

    def problem(self, message: str, path: Path) -> None:
        self.problems.append(self.where.problem(message, *path))

    def document(self, document: object, path: Path) -> Iterator[WrittenOperator]:
        if isinstance(document, Mapping):
            yield from self.rules(document, path)
        elif isinstance(document, list | tuple):
            for place, rules in enumerate(document):
                if isinstance(rules, Mapping):
                    yield from self.rules(rules, (*path, place))
                else:
                    self.problem("a rule is an object with `allow` or `deny`", (*path, place))
        else:
            self.problem("a policy is an object with `allow` or `deny`, or an array of them", path)

    def rules(self, rules: Mapping[object, object], path: Path) -> Iterator[WrittenOperator]:
        for key, rule in rules.items():
            here = (*path, str(key))
            if key not in _ACTIONS:
                self.problem(unknown("action", key, _ACTIONS), here)
            elif not isinstance(rule, Mapping):
                self.problem("takes an object with `and`, `or`, `not` or `nor`", here)
            else:
                yield from self.rule(Action(str(key)), rule, here)

    def rule(
        self, action: Action, rule: Mapping[object, object], path: Path
    ) -> Iterator[WrittenOperator]:
        unavailable = rule.get("unavailable")
        if "unavailable" in rule and unavailable != "deny":
            self.problem("can only be `deny`", (*path, "unavailable"))
        for key, criteria in rule.items():
            here = (*path, str(key))
            if key in ("action", "unavailable"):
                continue  # upstream reads past a key `action`
            if key not in _KINDS:
                self.problem(unknown("operator", key, _KINDS), here)
            elif not isinstance(criteria, list | tuple):
                self.problem("takes an array of criteria", here)
            else:
                yield WrittenOperator(
                    action,
                    Kind(str(key)),
                    tuple(self.criteria(criteria, here)),
                    here,
                    unavailable == "deny",
                )

    def criteria(
        self, criteria: list[object] | tuple[object, ...], path: Path
    ) -> Iterator[WrittenCriterion]:
        for place, criterion in enumerate(criteria):
            here = (*path, place)
            if not isinstance(criterion, Mapping):
                self.problem("a criterion is an object with one key", here)
            elif len(criterion) != 1:
                self.problem(f"a criterion has exactly one key, this has {len(criterion)}", here)
            else:
                for name, data in criterion.items():
                    yield WrittenCriterion(str(name), data, (*here, str(name)))


_ACTIONS = tuple(Action)
_KINDS = tuple(Kind)
