"""From the document of a vector to what a policy makes of its case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.policy.compile import ALL_FACTS, Purpose, build
from authz_sidecar.policy.decide import Evaluation, evaluate
from authz_sidecar.policy.document import parse
from authz_sidecar.policy.model import Policy, policy_of
from authz_sidecar.policy.reasons import ABOUT_DEVICE
from authz_sidecar.policy.subject import Evidence, Subject, ToolCall
from authz_sidecar.policy.vectors.people import People
from authz_sidecar.policy.vectors.request import request_of
from authz_sidecar.policy.vectors.values import Object, instant, known, object_in, text_in
from authz_sidecar.policy.verdict import Outcome, outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.source_locations import Positions

    # HOUSE-REMOVED
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.document import WrittenOperator


class Case(NamedTuple):
    request: CheckRequest
    subject: Subject | None
    evidence: Evidence
    now: float


def read_case(given: Object, *, clock: float) -> Case:
    """`clock` is the time where the input names none. Raises `InputError`."""
    known(given, "")
    now = instant(given["now"]) if "now" in given else clock
    subject = People(given, now).subject()
    call = None
    if "mcp" in given:
        mcp = object_in(given, "mcp")
        call = ToolCall(text_in(mcp, "method"), text_in(mcp, "tool"))
    return Case(request_of(given), subject, Evidence(call=call), now)


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
