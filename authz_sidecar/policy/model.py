"""A compiled policy: immutable, complete, ready to be asked. Documents are compiled elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from authz_sidecar.policy.criteria import About, Criterion
from authz_sidecar.policy.document import Action, Kind
from authz_sidecar.policy.reasons import HELD, fails
from authz_sidecar.policy.tables import Part, all_of, any_of, inverted

if TYPE_CHECKING:
    from authz_sidecar.core.positions import Step
    from authz_sidecar.core.types import Fact

Fold = Callable[[Criterion], Part]
"""What a criterion becomes: its outcome where that is known, else its test."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of one rule. `path` leads to it in the document."""

    action: Action
    kind: Kind
    criteria: tuple[Criterion, ...]
    path: tuple[Step, ...]

    def linked(self, fold: Fold) -> list[Part]:
        """As alternatives of its action; those of an `or` stand for themselves."""
        parts = [fold(criterion) for criterion in self.criteria]
        match self.kind:
            case Kind.AND:
                return [all_of(parts)]
            case Kind.OR:
                return parts
            case Kind.NOT:
                return [inverted(any_of(parts))]
            case Kind.NOR:
                return [inverted(all_of(parts))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`allow` and `deny` are the rules linked for evaluation.

    `qualified_users`: `user` compares `provider/subject`. `groups` are the group names mentioned,
    `facts` what has to be known of a request, `about` what a decision may depend on.
    `satisfiable` is False where no request of anybody's could be allowed.
    """

    operators: tuple[Operator, ...]
    allow: Part
    deny: Part
    qualified_users: bool
    about: About
    facts: frozenset[Fact]
    groups: frozenset[str]
    satisfiable: bool

    @property
    def criteria(self) -> Iterable[Criterion]:
        return (criterion for operator in self.operators for criterion in operator.criteria)


def policy_of(operators: Iterable[Operator], *, qualified_users: bool = False) -> Policy:
    """All rules of all policies of a route together: per action they are alternatives."""
    operators = tuple(operators)
    criteria = [criterion for operator in operators for criterion in operator.criteria]
    deny = linked(operators, Action.DENY, _constants)
    return Policy(
        operators=operators,
        allow=linked(operators, Action.ALLOW, _constants),
        deny=deny,
        qualified_users=qualified_users,
        about=reduce(or_, (criterion.about for criterion in criteria), About.NOTHING),
        facts=frozenset().union(*(criterion.facts for criterion in criteria)),
        groups=frozenset().union(*(criterion.groups for criterion in criteria)),
        satisfiable=_satisfiable(operators, deny),
    )


def linked(operators: Iterable[Operator], action: Action, fold: Fold) -> Part:
    return any_of(
        [
            part
            for operator in operators
            if operator.action is action
            for part in operator.linked(fold)
        ]
    )


def _constants(criterion: Criterion) -> Part:
    return criterion.test if criterion.constant is None else criterion.constant


def _satisfiable(operators: Iterable[Operator], deny: Part) -> bool:
    if isinstance(deny, int) and deny & HELD:
        return False
    return any(_could_hold(operator) for operator in operators if operator.action is Action.ALLOW)


def _could_hold(operator: Operator) -> bool:
    """Whether some request might make it true; only `accept` and `reject` are certain."""
    constants = [criterion.constant for criterion in operator.criteria]
    could_hold = [constant is None or bool(constant & HELD) for constant in constants]
    could_fail = [constant is None or not constant & HELD for constant in constants]
    match operator.kind:
        case Kind.AND:
            return all(could_hold)
        case Kind.OR:
            return any(could_hold)
        case Kind.NOT:
            return all(could_fail)
        case Kind.NOR:
            return any(could_fail)


def refusing_policy() -> Policy:
    """What stands in for a policy that could not be compiled."""
    return Policy(
        operators=(),
        allow=fails("route-misconfigured"),
        deny=0,
        qualified_users=False,
        about=About.NOTHING,
        facts=frozenset(),
        groups=frozenset(),
        satisfiable=False,
    )
