"""The only module that decides. Pure, and total: every request gets a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.policy.reasons import Result
from authz_sidecar.policy.step_up import with_step_up
from authz_sidecar.policy.subject import Context, Subject, build_subject

if TYPE_CHECKING:
    from authz_sidecar.core.types import CheckRequest, Decision, Identity
    from authz_sidecar.policy.model import Policy


class Evaluation(NamedTuple):
    """The results of the allow rules and of the deny rules, before a decision is made of them."""

    allow: Result
    deny: Result


def decide(
    policy: Policy,
    request: CheckRequest,
    identity: Identity | None,
    *,
    now: float,
    context: Context | None = None,
) -> Decision:
    """Returns the decision about a request.

    - `identity`: None without a session.
    - `now`: Unix seconds.
    - `context`: the policy's own unless another is given.
    """
    if context is None:
        context = policy.context
    subject = build_subject(identity, qualified=policy.qualified_users)
    allow, deny = policy.allow, policy.deny
    decision = policy.to_decision(
        allow if isinstance(allow, int) else allow(request, subject, now, context),
        deny if isinstance(deny, int) else deny(request, subject, now, context),
    )
    if not policy.may_step_up:
        return decision
    return with_step_up(policy, decision, request, subject, now=now, context=context)


def evaluate(
    policy: Policy,
    request: CheckRequest,
    subject: Subject | None,
    *,
    now: float,
    context: Context | None = None,
) -> Evaluation:
    """Returns the results of both sides of a policy without a decision; `context` is the policy's
    own unless another is given."""
    if context is None:
        context = policy.context
    allow, deny = policy.allow, policy.deny
    return Evaluation(
        Result(allow if isinstance(allow, int) else allow(request, subject, now, context)),
        Result(deny if isinstance(deny, int) else deny(request, subject, now, context)),
    )
