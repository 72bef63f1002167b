"""Parses the structure of a policy document, without knowing the criteria.

A document is an object or an array of objects with the keys `allow` and `deny`; each holds
operators, an operator an array of criteria, a criterion one key. Operators do not nest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from authz_sidecar.core.source_locations import PathStep, SourceMap
from authz_sidecar.core.suggest import unknown_name_message

if TYPE_CHECKING:
    from authz_sidecar.errors import Problem

DocumentPath = tuple[PathStep, ...]


class Action(StrEnum):
    """The two sides of a policy."""

    ALLOW = "allow"
    DENY = "deny"


class Connective(StrEnum):
    """The operators of the policy language."""

    AND = "and"
    OR = "or"
    NOT = "not"
    NOR = "nor"


@dataclass(frozen=True, slots=True)
class CriterionNode:
    """A parsed criterion: its name, its data, and its path in the document."""

    name: str
    data: object
    path: DocumentPath


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """A parsed operator.

    - `path`: where it stands in the document.
    - `unavailable_denies`: the rule has `unavailable: deny`, for attributes that an adapter does
      not deliver.
    """

    action: Action
    kind: Connective
    criteria: tuple[CriterionNode, ...]
    path: DocumentPath
    unavailable_denies: bool = False


def parse_document(
    document: object, *, source_map: SourceMap, source_path: DocumentPath, problems: list[Problem]
) -> tuple[OperatorNode, ...]:
    """Returns the valid operators in document order; every problem is added to `problems`. `source_path` is
    the path of the document.

    An empty operator is skipped: an `and` of nothing does not allow.
    """
    reader = _Reader(source_map, problems)
    return tuple(
        operator for operator in reader.document(document, source_path) if operator.criteria
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    source_map: SourceMap
    problems: list[Problem]

    def problem(self, message: str, path: DocumentPath) -> None:
        self.problems.append(self.source_map.problem(message, *path))

    def document(self, document: object, path: DocumentPath) -> Iterator[OperatorNode]:
        if isinstance(document, Mapping):
            yield from self.rules(document, path)
        elif isinstance(document, list | tuple):
            for index, rules in enumerate(document):
                if isinstance(rules, Mapping):
                    yield from self.rules(rules, (*path, index))
                else:
                    self.problem("a rule is an object with `allow` or `deny`", (*path, index))
        else:
            self.problem("a policy is an object with `allow` or `deny`, or an array of them", path)

    def rules(self, rules: Mapping[object, object], path: DocumentPath) -> Iterator[OperatorNode]:
        for key, rule in rules.items():
            rule_path = (*path, str(key))
            if key not in _ACTIONS:
                self.problem(unknown_name_message("action", key, _ACTIONS), rule_path)
            elif not isinstance(rule, Mapping):
                self.problem("takes an object with `and`, `or`, `not` or `nor`", rule_path)
            else:
                yield from self.rule(Action(str(key)), rule, rule_path)

    def rule(
        self, action: Action, rule: Mapping[object, object], path: DocumentPath
    ) -> Iterator[OperatorNode]:
        unavailable = rule.get("unavailable")
        if "unavailable" in rule and unavailable != "deny":
            self.problem("can only be `deny`", (*path, "unavailable"))
        for key, criteria in rule.items():
            operator_path = (*path, str(key))
            if key in ("action", "unavailable"):
                continue  # Pomerium ignores a key `action`
            if key not in _KINDS:
                self.problem(unknown_name_message("operator", key, _KINDS), operator_path)
            elif not isinstance(criteria, list | tuple):
                self.problem("takes an array of criteria", operator_path)
            else:
                yield OperatorNode(
                    action,
                    Connective(str(key)),
                    tuple(self.criteria(criteria, operator_path)),
                    operator_path,
                    unavailable == "deny",
                )

    def criteria(
        self, criteria: list[object] | tuple[object, ...], path: DocumentPath
    ) -> Iterator[CriterionNode]:
        for index, criterion in enumerate(criteria):
            criterion_path = (*path, index)
            if not isinstance(criterion, Mapping):
                self.problem("a criterion is an object with one key", criterion_path)
            elif len(criterion) != 1:
                self.problem(
                    f"a criterion has exactly one key, this has {len(criterion)}", criterion_path
                )
            else:
                for name, data in criterion.items():
                    yield CriterionNode(str(name), data, (*criterion_path, str(name)))


_ACTIONS = tuple(Action)
_KINDS = tuple(Connective)
