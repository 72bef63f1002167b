"""The compiled policy: immutable and complete. `compile` makes it from documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.policy.combinators import Part, all_of, any_of, negate
from authz_sidecar.policy.criteria import Criterion, Dependency
from authz_sidecar.policy.document import Action, Connective
from authz_sidecar.policy.reasons import SUCCESS_BIT, outcome_of_failure
from authz_sidecar.policy.subject import NO_CONTEXT, Context
from authz_sidecar.policy.verdict import ToDecision, select_decision

if TYPE_CHECKING:
    from authz_sidecar.core.source_locations import PathStep
    from authz_sidecar.core.step_up import AuthenticationRequirement
    from authz_sidecar.core.types import RequestAttribute

Combiner = Callable[[Criterion], Part]
"""Returns the part that stands for a criterion: its outcome where that is known, else its test."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of one rule. `path` is where it stands in the document."""

    action: Action
    kind: Connective
    criteria: tuple[Criterion, ...]
    path: tuple[PathStep, ...]

    def combine(self, fold: Combiner) -> list[Part]:
        """Returns the operator as alternatives of its action; each criterion of an `or` is one of
        its own."""
        parts = [fold(criterion) for criterion in self.criteria]
        match self.kind:
            case Connective.AND:
                return [all_of(parts)]
            case Connective.OR:
                return parts
            case Connective.NOT:
                return [negate(any_of(parts))]
            case Connective.NOR:
                return [negate(all_of(parts))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one route, compiled.

    - `allow`, `deny`: the rules of each side, combined for evaluation.
    - `to_decision`: makes the decision of the two outcomes.
    - `qualified_users`: `user` compares `provider/subject`.
    - `context`: what criteria may use beside the request and the subject, such as record tables.
    - `may_step_up`: a rule has a requirement about the sign-in.
    """

    operators: tuple[Operator, ...]
    allow: Part
    deny: Part
    to_decision: ToDecision
    qualified_users: bool
    context: Context = NO_CONTEXT
    may_step_up: bool = False

    @property
    def criteria(self) -> Iterator[Criterion]:
        """All criteria of all operators, in document order."""
        return (criterion for operator in self.operators for criterion in operator.criteria)

    @property
    def depends_on(self) -> Dependency:
        """Everything that a decision may depend on."""
        dependency = Dependency.NOTHING
        for criterion in self.criteria:
            dependency |= criterion.depends_on
        return dependency

    @property
    def attributes(self) -> frozenset[RequestAttribute]:
        """The attributes of a request that the criteria need."""
        return frozenset(
            attribute for criterion in self.criteria for attribute in criterion.attributes
        )

    @property
    def requirements(self) -> frozenset[AuthenticationRequirement]:
        """The requirements on sign-ins, of all rules."""
        return frozenset(
            criterion.requirement
            for criterion in self.criteria
            if criterion.requirement is not None
        )

    @property
    def groups(self) -> frozenset[str]:
        """The names of all groups that the rules mention."""
        return frozenset(name for criterion in self.criteria for name in criterion.groups)


def link_policy(
    operators: Iterable[Operator],
    *,
    qualified_users: bool = False,
    context: Context = NO_CONTEXT,
) -> Policy:
    """Returns the policy of a route from the operators of all its documents; per action they are
    alternatives."""
    operators = tuple(operators)
    deny = combine_operators(operators, Action.DENY, _constants)
    return Policy(
        operators=operators,
        allow=combine_operators(operators, Action.ALLOW, _constants),
        deny=deny,
        to_decision=select_decision(satisfiable=_satisfiable(operators, deny)),
        qualified_users=qualified_users,
        context=context,
        may_step_up=any(
            criterion.requirement is not None
            for operator in operators
            for criterion in operator.criteria
        ),
    )


def combine_operators(operators: Iterable[Operator], action: Action, fold: Combiner) -> Part:
    """Returns the operators of one action as alternatives, with `fold` applied to each criterion."""
    return any_of(
        [
            part
            for operator in operators
            if operator.action is action
            for part in operator.combine(fold)
        ]
    )


def _constants(criterion: Criterion) -> Part:
    return criterion.test if criterion.constant is None else criterion.constant


def _satisfiable(operators: Iterable[Operator], deny: Part) -> bool:
    if isinstance(deny, int) and deny & SUCCESS_BIT:
        return False
    return any(_could_hold(operator) for operator in operators if operator.action is Action.ALLOW)


def _could_hold(operator: Operator) -> bool:
    """Whether some request may make the operator true; only `accept` and `reject` are constant."""
    constants = [criterion.constant for criterion in operator.criteria]
    could_hold = [constant is None or bool(constant & SUCCESS_BIT) for constant in constants]
    could_fail = [constant is None or not constant & SUCCESS_BIT for constant in constants]
    match operator.kind:
        case Connective.AND:
            return all(could_hold)
        case Connective.OR:
            return any(could_hold)
        case Connective.NOT:
            return all(could_fail)
        case Connective.NOR:
            return any(could_fail)


def refusing_policy() -> Policy:
    """Returns the policy that stands for one that could not be compiled; it denies every request."""
    return Policy(
        operators=(),
        allow=outcome_of_failure("route-misconfigured"),
        deny=0,
        to_decision=select_decision(satisfiable=False),
        qualified_users=False,
    )
