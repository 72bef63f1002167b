"""Explains a decision: every criterion with its outcome and the value it compared, and which rules
were decisive. Runs the tests that `decide` runs and combines them by the same tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Allow, Challenge
from authz_sidecar.policy.combinators import any_of
from authz_sidecar.policy.document import Action
from authz_sidecar.policy.model import combine_operators
from authz_sidecar.policy.observed_values import EvaluationContext, ObservedValue, observe
from authz_sidecar.policy.reasons import UNAUTHENTICATED, Result
from authz_sidecar.policy.step_up import UNMET_REASONS, with_step_up
from authz_sidecar.policy.subject import Context, Subject, build_subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.types import CheckRequest, Decision, Identity
    from authz_sidecar.policy.combinators import Part
    from authz_sidecar.policy.criteria import Criterion
    from authz_sidecar.policy.model import Operator, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCriterion:
    """A criterion with its result and the value it compared."""

    criterion: Criterion
    result: Result
    observed: ObservedValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRule:
    """One operator of one rule, with its result. `decisive`: rules with this effect made the
    decision what it is."""

    operator: Operator
    result: Result
    decisive: bool
    criteria: tuple[ExplainedCriterion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision with all its rules. `allow` and `deny` are the combined results of either side."""

    decision: Decision
    allow: Result
    deny: Result
    rules: tuple[ExplainedRule, ...]


def explain(
    policy: Policy,
    request: CheckRequest,
    identity: Identity | None,
    *,
    now: float,
    context: Context | None = None,
) -> Explanation:
    """Returns the explanation of what `decide` returns for the same arguments."""
    subject = build_subject(identity, qualified=policy.qualified_users)
    return explain_subject(policy, request, subject, now=now, context=context)


def explain_subject(
    policy: Policy,
    request: CheckRequest,
    subject: Subject | None,
    *,
    now: float,
    context: Context | None = None,
) -> Explanation:
    """Returns the explanation of a decision about a subject instead of an identity."""
    if context is None:
        context = policy.context
    evaluation = EvaluationContext(request, subject, now, context)
    outcomes = {id(item): item.test(request, subject, now, context) for item in policy.criteria}

    def outcome_of(criterion: Criterion) -> int:
        return outcomes[id(criterion)]

    def side(action: Action) -> int:
        return _outcome([combine_operators(policy.operators, action, outcome_of)])

    # A policy without rules, such as the one that stands in for a broken one, is its own outcome.
    allow = Result(side(Action.ALLOW) if policy.operators else _outcome([policy.allow]))
    deny = Result(side(Action.DENY) if policy.operators else _outcome([policy.deny]))
    decision = policy.to_decision(allow.outcome, deny.outcome)
    decision = with_step_up(policy, decision, request, subject, now=now, context=context)
    rules = []
    for operator in policy.operators:
        result = Result(_outcome(operator.combine(outcome_of)))
        criteria = tuple(
            ExplainedCriterion(
                criterion=item, result=Result(outcome_of(item)), observed=observe(item, evaluation)
            )
            for item in operator.criteria
        )
        decisive = _is_decisive(operator.action, result, decision, is_denied=deny.holds)
        rules.append(
            ExplainedRule(operator=operator, result=result, decisive=decisive, criteria=criteria)
        )
    return Explanation(decision=decision, allow=allow, deny=deny, rules=tuple(rules))


def _outcome(parts: Sequence[Part]) -> int:
    """The combined outcome of constant parts."""
    merged = any_of([part for part in parts if isinstance(part, int)])
    return merged if isinstance(merged, int) else 0


def _is_decisive(action: Action, result: Result, decision: Decision, *, is_denied: bool) -> bool:
    """Whether a rule allowed an allowed request, denied a denied one, or requires the sign-in of a
    challenge. Where nothing allows, no rule is decisive: its absence is."""
    if isinstance(decision, Challenge):
        unmet = UNMET_REASONS if decision.step_up else UNAUTHENTICATED
        return bool(result.outcome & unmet)
    if not result.holds:
        return False
    if isinstance(decision, Allow):
        return action is Action.ALLOW
    return is_denied and action is Action.DENY
