"""A compiled policy: immutable, complete, ready to be asked. Documents are compiled elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.policy.combinators import Part, all_of, any_of, inverted
from authz_sidecar.policy.criteria import About, Criterion
from authz_sidecar.policy.document import Action, Kind
from authz_sidecar.policy.reasons import HELD, fails
from authz_sidecar.policy.subject import NO_EVIDENCE, Evidence
from authz_sidecar.policy.verdict import Judge, judge

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import Step
    from authz_sidecar.core.step_up import StepUp
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
    """`allow` and `deny` are the rules linked for evaluation, `judge` says what their results come
    to. `qualified_users`: `user` compares `provider/subject`. `evidence` is what the criteria may
    look at beside a request and its user; it comes and goes with the rules. `may_step_up`: some
    rule asks how somebody signed in."""

    operators: tuple[Operator, ...]
    allow: Part
    deny: Part
    judge: Judge
    qualified_users: bool
    evidence: Evidence = NO_EVIDENCE
    may_step_up: bool = False

    @property
    def criteria(self) -> Iterator[Criterion]:
        return (criterion for operator in self.operators for criterion in operator.criteria)

    @property
    def about(self) -> About:
        """What a decision may depend on."""
        about = About.NOTHING
        for criterion in self.criteria:
            about |= criterion.about
        return about

    @property
    def facts(self) -> frozenset[Fact]:
        """What has to be known of a request."""
        return frozenset(fact for criterion in self.criteria for fact in criterion.facts)

    @property
    def demands(self) -> frozenset[StepUp]:
        """What is asked of sign-ins, by any rule."""
        return frozenset(each.demand for each in self.criteria if each.demand is not None)

    @property
    def groups(self) -> frozenset[str]:
        """The names of groups that are mentioned."""
        return frozenset(name for criterion in self.criteria for name in criterion.groups)


def policy_of(
    operators: Iterable[Operator],
    *,
    qualified_users: bool = False,
    evidence: Evidence = NO_EVIDENCE,
) -> Policy:
    """All rules of all policies of a route together: per action they are alternatives."""
    operators = tuple(operators)
    deny = linked(operators, Action.DENY, _constants)
    return Policy(
        operators=operators,
        allow=linked(operators, Action.ALLOW, _constants),
        deny=deny,
        judge=judge(satisfiable=_satisfiable(operators, deny)),
        qualified_users=qualified_users,
        evidence=evidence,
        may_step_up=any(
            criterion.demand is not None
            for operator in operators
            for criterion in operator.criteria
        ),
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
        judge=judge(satisfiable=False),
        qualified_users=False,
    )
