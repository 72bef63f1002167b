"""From the document of a vector to what a policy makes of its case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.policy.compile import ALL_FACTS, Purpose, build
from authz_sidecar.policy.decide import Evaluation, evaluate
from authz_sidecar.policy.document import parse
from authz_sidecar.policy.model import Policy, policy_of
from authz_sidecar.policy.reasons import ABOUT_DEVICE
from authz_sidecar.policy.verdict import Outcome, outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.positions import Positions
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.document import WrittenOperator
    from authz_sidecar.policy.vectors.case import Case


class RefusedPolicy(Exception):
    """A policy that does not load; `stage` is `parse` or `compile`."""

    def __init__(self, stage: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.stage = stage
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Evaluated:
    evaluation: Evaluation
    outcome: Outcome
    device_type: str | None


def load_policy(document: object, *, where: Positions) -> Policy:
    """Raises `RefusedPolicy`."""
    problems: list[Problem] = []
    return loaded(parse(document, where=where, at=(), problems=problems), problems, where=where)


def loaded(
    written: Sequence[WrittenOperator], problems: list[Problem], *, where: Positions
) -> Policy:
    """What has been parsed, with the problems that parsing found. Raises `RefusedPolicy`."""
    if problems:
        raise RefusedPolicy("parse", sorted(problems))
    operators = build(
        written, where=where, facts=ALL_FACTS, purpose=Purpose.EVALUATE, problems=problems
    )
    if problems:
        raise RefusedPolicy("compile", sorted(problems))
    return policy_of(operators)


def run(policy: Policy, case: Case) -> Evaluated:
    evaluation = evaluate(policy, case.request, case.subject, now=case.now, evidence=case.evidence)
    allow, deny = evaluation.allow.outcome, evaluation.deny.outcome
    about_device = bool((allow | deny) & ABOUT_DEVICE)
    types = (criterion.device_type for criterion in policy.criteria if criterion.device_type)
    device_type = next(types, None) if about_device else None
    return Evaluated(evaluation, outcome(allow, deny), device_type)
