"""What would let in somebody who is kept out only for how, or how long ago, they signed in.

A denial becomes a challenge where the very same rules would allow the very same request if the
sign-in were another one; what has to be asked for is as little as will do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.step_up import StepUp, combined
from authz_sidecar.core.types import Allow, Challenge, Decision, Deny
from authz_sidecar.policy.criteria import About
from authz_sidecar.policy.document import Action, Kind
from authz_sidecar.policy.model import linked
from authz_sidecar.policy.reasons import fails, holds

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.policy.criteria import Criterion
    from authz_sidecar.policy.model import Policy
    from authz_sidecar.policy.subject import Evidence, Subject

LACKING = (
    fails("authentication-too-old") | fails("authentication-acr") | fails("authentication-amr")
)
_MET = holds("authentication-ok")
_UNMET = fails("authentication-too-old")


def stepped_up(
    policy: Policy,
    decision: Decision,
    request: CheckRequest,
    subject: Subject | None,
    *,
    now: float,
    evidence: Evidence,
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


def foreseen(
    policy: Policy, request: CheckRequest, *, now: float, evidence: Evidence
) -> StepUp | None:
    """What will be asked of whoever signs in for this, if the rules want them otherwise; a wish
    that saves them a second sign-in, and never more than that. None where nothing will be."""
    if not policy.may_step_up:
        return None
    outcomes = {}
    for operator in policy.operators:
        plain = operator.kind in (Kind.AND, Kind.OR)
        wanted = _MET if (operator.action is Action.ALLOW) is plain else _UNMET
        for each in operator.criteria:
            known = not each.about & About.SUBJECT
            outcomes[id(each)] = each.test(request, None, now, evidence) if known else wanted
    least = _least(policy, outcomes)
    return None if least == StepUp() else least


Outcomes = dict[int, int]


def _least(policy: Policy, outcomes: Outcomes) -> StepUp | None:
    """What is left to demand of a sign-in when everything that can be done without is left out;
    None where no sign-in would help."""
    needed = policy.demands
    if not _allows(policy, outcomes, met=needed):
        return None
    # In an order that is not that of the rules, which says nothing: the dearest first.
    for demand in sorted(needed, key=_dear):
        if _allows(policy, outcomes, met=needed - {demand}):
            needed -= {demand}
    return combined(sorted(needed, key=_dear))


def _allows(policy: Policy, outcomes: Outcomes, *, met: frozenset[StepUp] | None = None) -> bool:
    """With `met`, a sign-in is taken to meet these demands and no others."""

    def outcome(criterion: Criterion) -> int:
        if met is None or criterion.demand is None:
            return outcomes[id(criterion)]
        return _MET if criterion.demand in met else _UNMET

    allow = linked(policy.operators, Action.ALLOW, outcome)
    deny = linked(policy.operators, Action.DENY, outcome)
    if not isinstance(allow, int) or not isinstance(deny, int):
        return False
    return isinstance(policy.judge(allow, deny), Allow)


def _dear(demand: StepUp) -> tuple[int, int, float, tuple[str, ...], tuple[str, ...]]:
    age = float("inf") if demand.max_age is None else demand.max_age
    return -len(demand.amr), -bool(demand.acr), age, demand.acr, demand.amr
