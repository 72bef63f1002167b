"""Step-up authentication: which new sign-in would make a denied request pass.

A denial becomes a challenge where the same rules would allow the same request after another
sign-in; the challenge requires no more than is needed.
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
    context: Context,
) -> Decision:
    """Returns the decision, or the challenge that replaces it. Pure, and total as `decide` is."""
    if not policy.may_step_up or subject is None or not isinstance(decision, Deny):
        return decision

    def outcomes(candidate: Subject) -> Outcomes:
        return {
            id(criterion): criterion.test(request, candidate, now, context)
            for criterion in policy.criteria
        }

    least = _least(policy, outcomes(subject))
    if least is None:
        return decision
    # The proof: a sign-in that meets the requirement and nothing more passes, at each level of it.
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
    policy: Policy, request: CheckRequest, *, now: float, context: Context
) -> AuthenticationRequirement | None:
    """Returns what the rules are going to require of a user who signs in for this request, or None.

    It saves the user a second sign-in and is never enforced: only `decide` requires anything.
    """
    if not policy.may_step_up:
        return None
    outcomes = {}
    for operator in policy.operators:
        is_positive = operator.kind in (Connective.AND, Connective.OR)
        favourable = _MET if (operator.action is Action.ALLOW) is is_positive else _UNMET
        for criterion in operator.criteria:
            is_known = not criterion.depends_on & Dependency.SUBJECT
            outcomes[id(criterion)] = (
                criterion.test(request, None, now, context) if is_known else favourable
            )
    least = _least(policy, outcomes)
    return None if least == AuthenticationRequirement() else least


Outcomes = dict[int, int]


def _least(policy: Policy, outcomes: Outcomes) -> AuthenticationRequirement | None:
    """The least requirement under which the policy allows; None where no sign-in helps."""
    required = policy.requirements
    if not _allows(policy, outcomes, met=required):
        return None
    # In an order that is not that of the rules, which says nothing: the dearest first.
    for requirement in sorted(required, key=_cost):
        if _allows(policy, outcomes, met=required - {requirement}):
            required -= {requirement}
    return merge_requirements(sorted(required, key=_cost))


def _allows(
    policy: Policy, outcomes: Outcomes, *, met: frozenset[AuthenticationRequirement] | None = None
) -> bool:
    """Whether the policy allows with these outcomes. With `met`, a sign-in meets these requirements
    and no others."""

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
    requirement: AuthenticationRequirement,
) -> tuple[int, int, float, tuple[str, ...], tuple[str, ...]]:
    max_age = float("inf") if requirement.max_age is None else requirement.max_age
    return -len(requirement.amr), -bool(requirement.acr), max_age, requirement.acr, requirement.amr
