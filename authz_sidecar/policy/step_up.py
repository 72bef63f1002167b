"""What would let in somebody who is kept out only for how, or how long ago, they signed in.

A denial becomes a challenge where the very same rules would allow the very same request if the
sign-in were another one; what has to be asked for is as little as will do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.step_up import AuthenticationRequirement, merge_requirements
from authz_sidecar.core.types import Allow, Challenge, Decision, Deny
from authz_sidecar.policy.criteria import Dependency
from authz_sidecar.policy.document import Action, Connective
from authz_sidecar.policy.model import combine_operators
from authz_sidecar.policy.reasons import outcome_of_failure, outcome_of_success

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.policy.criteria import Criterion
    from authz_sidecar.policy.model import Policy
    from authz_sidecar.policy.subject import Context, Subject

UNMET_REASONS = (
    outcome_of_failure("authentication-too-old")
    | outcome_of_failure("authentication-acr")
    | outcome_of_failure("authentication-amr")
)
_MET = outcome_of_success("authentication-ok")
_UNMET = outcome_of_failure("authentication-too-old")


def with_step_up(
    policy: Policy,
    decision: Decision,
    request: CheckRequest,
    subject: Subject | None,
    *,
    now: float,
    evidence: Context,
) -> Decision:
    """The decision, or the challenge that takes its place. Pure, and total as `decide` is."""
    if not policy.may_step_up or subject is None or not isinstance(decision, Deny):
        return decision

    def outcomes(of: Subject) -> Outcomes:
        return {id(each): each.test(request, of, now, evidence) for each in policy.criteria}

    least = _least(policy, outcomes(subject))
    if least is None:
        return decision
    # The proof: with nothing but what is asked for, every level that is asked for would pass.
    levels = tuple(
        level
        for level in least.acr or (None,)
        if _allows(
            policy,
            outcomes(subject._replace(authenticated_at=now, acr=level, amr=least.amr)),
        )
    )
    if not levels:
        return decision
    acr = tuple(level for level in levels if level is not None)
    return Challenge(decision.reasons, replace(least, acr=acr))


def anticipate(
    policy: Policy, request: CheckRequest, *, now: float, evidence: Context
) -> AuthenticationRequirement | None:
    """What will be asked of whoever signs in for this, if the rules want them otherwise; a wish
    that saves them a second sign-in, and never more than that. None where nothing will be."""
    if not policy.may_step_up:
        return None
    outcomes = {}
    for operator in policy.operators:
        plain = operator.kind in (Connective.AND, Connective.OR)
        wanted = _MET if (operator.action is Action.ALLOW) is plain else _UNMET
        for each in operator.criteria:
            known = not each.depends_on & Dependency.SUBJECT
            outcomes[id(each)] = each.test(request, None, now, evidence) if known else wanted
    least = _least(policy, outcomes)
    return None if least == AuthenticationRequirement() else least


Outcomes = dict[int, int]


def _least(policy: Policy, outcomes: Outcomes) -> AuthenticationRequirement | None:
    """What is left to demand of a sign-in when everything that can be done without is left out;
    None where no sign-in would help."""
    needed = policy.requirements
    if not _allows(policy, outcomes, met=needed):
        return None
    # In an order that is not that of the rules, which says nothing: the dearest first.
    for demand in sorted(needed, key=_cost):
        if _allows(policy, outcomes, met=needed - {demand}):
            needed -= {demand}
    return merge_requirements(sorted(needed, key=_cost))


def _allows(
    policy: Policy, outcomes: Outcomes, *, met: frozenset[AuthenticationRequirement] | None = None
) -> bool:
    """With `met`, a sign-in is taken to meet these demands and no others."""

    def outcome(criterion: Criterion) -> int:
        if met is None or criterion.requirement is None:
            return outcomes[id(criterion)]
        return _MET if criterion.requirement in met else _UNMET

    allow = combine_operators(policy.operators, Action.ALLOW, outcome)
    deny = combine_operators(policy.operators, Action.DENY, outcome)
    if not isinstance(allow, int) or not isinstance(deny, int):
        return False
    return isinstance(policy.to_decision(allow, deny), Allow)


def _cost(
    demand: AuthenticationRequirement,
) -> tuple[int, int, float, tuple[str, ...], tuple[str, ...]]:
    age = float("inf") if demand.max_age is None else demand.max_age
    return -len(demand.amr), -bool(demand.acr), age, demand.acr, demand.amr
