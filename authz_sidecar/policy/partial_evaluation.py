"""A policy for one person at one time: what depends on neither request nor evidence is settled.

`residual.decide(request)` is `decide(policy, request, identity)` for as long as the residual holds.
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
    """What is left of a policy. `constant` is the decision where no request changes it;
    `stable_until` is the instant from which on everything has to be asked anew (exclusive;
    infinite without time)."""

    constant: Decision | None
    stable_until: float
    _allow: Part
    _deny: Part
    _subject: Subject | None
    _policy: Policy
    _now: float

    def decide(self, request: CheckRequest, *, evidence: Context | None = None) -> Decision:
        """`evidence` is the policy's own unless another is given."""
        if self.constant is not None:
            return self.constant
        if evidence is None:
            evidence = self._policy.evidence
        allow, deny, subject = self._allow, self._deny, self._subject
        # What is left asks about request and evidence alone, so that the time does not matter; nor
        # does it to what was settled, as long as this residual holds.
        decision = self._policy.to_decision(
            allow if isinstance(allow, int) else allow(request, subject, self._now, evidence),
            deny if isinstance(deny, int) else deny(request, subject, self._now, evidence),
        )
        return with_step_up(
            self._policy, decision, request, subject, now=self._now, evidence=evidence
        )


def partially_evaluate(policy: Policy, identity: Identity | None, *, now: float) -> Residual:
    subject = build_subject(identity, qualified=policy.qualified_users)
    return partially_evaluate_subject(policy, subject, now=now)


def partially_evaluate_subject(policy: Policy, subject: Subject | None, *, now: float) -> Residual:
    def settled(criterion: Criterion) -> Part:
        if criterion.depends_on & _LATER:
            return criterion.test
        return criterion.test(_NO_REQUEST, subject, now, NO_CONTEXT)

    allow = (
        combine_operators(policy.operators, Action.ALLOW, settled)
        if policy.operators
        else policy.allow
    )
    deny = (
        combine_operators(policy.operators, Action.DENY, settled)
        if policy.operators
        else policy.deny
    )
    constant = None
    if isinstance(allow, int) and isinstance(deny, int):
        constant = with_step_up(
            policy,
            policy.to_decision(allow, deny),
            _NO_REQUEST,
            subject,
            now=now,
            evidence=NO_CONTEXT,
        )
    until = min(
        (
            criterion.stable_until(subject, now)
            for criterion in policy.criteria
            if criterion.stable_until is not None
        ),
        default=math.inf,
    )
    # A change too near to be told from now is one from the next instant on.
    until = max(until, math.nextafter(now, math.inf))
    return Residual(constant, until, allow, deny, subject, policy, now)
