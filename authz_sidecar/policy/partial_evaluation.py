"""A policy for one person at one time: what depends on neither request nor evidence is settled.

`residual.decide(request)` is `decide(policy, request, identity)` for as long as the residual holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.core.types import CheckRequest, Decision, Identity
from authz_sidecar.core.urls import Origin
from authz_sidecar.policy.criteria import About, Criterion
from authz_sidecar.policy.document import Action
from authz_sidecar.policy.model import Policy, linked
from authz_sidecar.policy.step_up import stepped_up
from authz_sidecar.policy.subject import NO_EVIDENCE, Evidence, Subject, subject_of

if TYPE_CHECKING:
    from authz_sidecar.policy.combinators import Part

# Handed to criteria that never look at a request.
_NO_REQUEST = CheckRequest(
    adapter="", method="", origin=Origin("https", "invalid"), path="/", facts=frozenset()
)
_LATER = About.REQUEST | About.EVIDENCE


@dataclass(frozen=True, slots=True)
class Residual:
    """What is left of a policy. `constant` is the decision where no request changes it; `until` is
    the instant from which on everything has to be asked anew (exclusive; infinite without time)."""

    constant: Decision | None
    until: float
    _allow: Part
    _deny: Part
    _subject: Subject | None
    _policy: Policy
    _now: float

    def decide(self, request: CheckRequest, *, evidence: Evidence | None = None) -> Decision:
        """`evidence` is the policy's own unless another is given."""
        if self.constant is not None:
            return self.constant
        if evidence is None:
            evidence = self._policy.evidence
        allow, deny, subject = self._allow, self._deny, self._subject
        # What is left asks about request and evidence alone, so that the time does not matter; nor
        # does it to what was settled, as long as this residual holds.
        decision = self._policy.judge(
            allow if isinstance(allow, int) else allow(request, subject, self._now, evidence),
            deny if isinstance(deny, int) else deny(request, subject, self._now, evidence),
        )
        return stepped_up(
            self._policy, decision, request, subject, now=self._now, evidence=evidence
        )


def specialise(policy: Policy, identity: Identity | None, *, now: float) -> Residual:
    subject = subject_of(identity, qualified=policy.qualified_users)
    return specialise_for(policy, subject, now=now)


def specialise_for(policy: Policy, subject: Subject | None, *, now: float) -> Residual:
    def settled(criterion: Criterion) -> Part:
        if criterion.about & _LATER:
            return criterion.test
        return criterion.test(_NO_REQUEST, subject, now, NO_EVIDENCE)

    allow = linked(policy.operators, Action.ALLOW, settled) if policy.operators else policy.allow
    deny = linked(policy.operators, Action.DENY, settled) if policy.operators else policy.deny
    constant = None
    if isinstance(allow, int) and isinstance(deny, int):
        constant = stepped_up(
            policy,
            policy.judge(allow, deny),
            _NO_REQUEST,
            subject,
            now=now,
            evidence=NO_EVIDENCE,
        )
    until = min(
        (
            criterion.until(subject, now)
            for criterion in policy.criteria
            if criterion.until is not None
        ),
        default=math.inf,
    )
    # A change too near to be told from now is one from the next instant on.
    until = max(until, math.nextafter(now, math.inf))
    return Residual(constant, until, allow, deny, subject, policy, now)
