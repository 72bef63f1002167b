"""Evaluates a policy partially: for one identity at one time, everything that depends on neither
the request nor records is folded to a constant.

`residual.decide(request)` equals `decide(policy, request, identity)` until `residual.stable_until`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.types import CheckRequest, Decision, Identity
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy.criteria import Criterion, Dependency
from authz_sidecar.policy.document import Action
from authz_sidecar.policy.model import Policy, combine_operators
from authz_sidecar.policy.step_up import with_step_up
from authz_sidecar.policy.subject import NO_CONTEXT, Context, Subject, build_subject

if TYPE_CHECKING:
    from authz_sidecar.policy.combinators import Part

# Handed to criteria that never look at a request.
_NO_REQUEST = CheckRequest(
    adapter="", method="", origin=Origin("https", "invalid"), path="/", attributes=frozenset()
)
_LATER = Dependency.REQUEST | Dependency.RECORDS


@dataclass(frozen=True, slots=True)
class Residual:
    """The rest of a policy after partial evaluation.

    - `constant`: the decision where it is the same for every request.
    - `stable_until`: Unix seconds until which the residual is valid, exclusive; infinite without
      criteria about time.
    """

    constant: Decision | None
    stable_until: float
    _allow: Part
    _deny: Part
    _subject: Subject | None
    _policy: Policy
    _now: float

    def decide(self, request: CheckRequest, *, context: Context | None = None) -> Decision:
        """Returns the decision about a request; `context` is the policy's own unless another is
        given."""
        if self.constant is not None:
            return self.constant
        if context is None:
            context = self._policy.context
        allow, deny, subject = self._allow, self._deny, self._subject
        # The rest depends on request and context alone, and the folded part stays the same until
        # `stable_until`: the time of evaluation does not matter.
        decision = self._policy.to_decision(
            allow if isinstance(allow, int) else allow(request, subject, self._now, context),
            deny if isinstance(deny, int) else deny(request, subject, self._now, context),
        )
        return with_step_up(
            self._policy, decision, request, subject, now=self._now, context=context
        )


def partially_evaluate(policy: Policy, identity: Identity | None, *, now: float) -> Residual:
    """Returns the residual of a policy for an identity at `now` (Unix seconds)."""
    subject = build_subject(identity, qualified=policy.qualified_users)
    return partially_evaluate_subject(policy, subject, now=now)


def partially_evaluate_subject(policy: Policy, subject: Subject | None, *, now: float) -> Residual:
    """Returns the residual of a policy for a subject at `now` (Unix seconds)."""

    def fold(criterion: Criterion) -> Part:
        if criterion.depends_on & _LATER:
            return criterion.test
        return criterion.test(_NO_REQUEST, subject, now, NO_CONTEXT)

    allow = (
        combine_operators(policy.operators, Action.ALLOW, fold)
        if policy.operators
        else policy.allow
    )
    deny = (
        combine_operators(policy.operators, Action.DENY, fold) if policy.operators else policy.deny
    )
    constant = None
    if isinstance(allow, int) and isinstance(deny, int):
        constant = with_step_up(
            policy,
            policy.to_decision(allow, deny),
            _NO_REQUEST,
            subject,
            now=now,
            context=NO_CONTEXT,
        )
    stable_until = min(
        (
            criterion.stable_until(subject, now)
            for criterion in policy.criteria
            if criterion.stable_until is not None
        ),
        default=math.inf,
    )
    # A change nearer than a float can tell from `now` counts from the next float on.
    stable_until = max(stable_until, math.nextafter(now, math.inf))
    return Residual(constant, stable_until, allow, deny, subject, policy, now)
