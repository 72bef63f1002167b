"""Why a policy decides as it does: every criterion with its outcome, what it looked at, and which
rules were decisive. Asks the very tests that `decide` asks and merges them by the same tables."""

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
    criterion: Criterion
    result: Result
    observed: ObservedValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRule:
    """One operator of one rule. `decisive`: without it and its likes the verdict would be another
    one, or nobody could say it."""

    operator: Operator
    result: Result
    decisive: bool
    criteria: tuple[ExplainedCriterion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`allow` and `deny` are what the rules of either side come to together."""

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
    evidence: Context | None = None,
) -> Explanation:
    subject = build_subject(identity, qualified=policy.qualified_users)
    return explain_subject(policy, request, subject, now=now, evidence=evidence)


def explain_subject(
    policy: Policy,
    request: CheckRequest,
    subject: Subject | None,
    *,
    now: float,
    evidence: Context | None = None,
) -> Explanation:
    if evidence is None:
        evidence = policy.evidence
    at = EvaluationContext(request, subject, now, evidence)
    outcomes = {id(each): each.test(request, subject, now, evidence) for each in policy.criteria}

    def known(criterion: Criterion) -> int:
        return outcomes[id(criterion)]

    def side(action: Action) -> int:
        return _outcome([combine_operators(policy.operators, action, known)])

    # A policy without rules, such as the one that stands in for a broken one, is its own outcome.
    allow = Result(side(Action.ALLOW) if policy.operators else _outcome([policy.allow]))
    deny = Result(side(Action.DENY) if policy.operators else _outcome([policy.deny]))
    decision = policy.to_decision(allow.outcome, deny.outcome)
    decision = with_step_up(policy, decision, request, subject, now=now, evidence=evidence)
    rules = []
    for operator in policy.operators:
        result = Result(_outcome(operator.combine(known)))
        criteria = tuple(
            ExplainedCriterion(
                criterion=each, result=Result(known(each)), observed=observe(each, at)
            )
            for each in operator.criteria
        )
        decisive = _is_decisive(operator.action, result, decision, denies=deny.holds)
        rules.append(
            ExplainedRule(operator=operator, result=result, decisive=decisive, criteria=criteria)
        )
    return Explanation(decision=decision, allow=allow, deny=deny, rules=tuple(rules))


def _outcome(parts: Sequence[Part]) -> int:
    """Of parts that are all known."""
    merged = any_of([part for part in parts if isinstance(part, int)])
    return merged if isinstance(merged, int) else 0


def _is_decisive(action: Action, result: Result, decision: Decision, *, denies: bool) -> bool:
    """What allowed an allowed request, what denied a denied one; for a sign-in whatever asked for
    it. Where nothing allows, no rule is decisive: its absence is."""
    if isinstance(decision, Challenge):
        asking = UNMET_REASONS if decision.step_up else UNAUTHENTICATED
        return bool(result.outcome & asking)
    if not result.holds:
        return False
    if isinstance(decision, Allow):
        return action is Action.ALLOW
    return denies and action is Action.DENY
