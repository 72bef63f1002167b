"""Evaluates a test vector: loads its policy, reads its case and returns what the policy makes of
it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.policy.compile import ALL_ATTRIBUTES, Purpose, compile_operators
from authz_sidecar.policy.decide import Evaluation, evaluate
from authz_sidecar.policy.document import parse_document
from authz_sidecar.policy.model import Policy, link_policy
from authz_sidecar.policy.reasons import ABOUT_DEVICE
from authz_sidecar.policy.subject import Context, Subject, ToolCall
from authz_sidecar.policy.vectors.people import Principals
from authz_sidecar.policy.vectors.request import build_vector_request
from authz_sidecar.policy.vectors.values import (
    Object,
    optional_object,
    optional_text,
    parse_timestamp,
    require_known_keys,
)
from authz_sidecar.policy.verdict import PomeriumOutcome, pomerium_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.source_locations import SourceMap
    from authz_sidecar.core.types import CheckRequest
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.document import OperatorNode


class VectorCase(NamedTuple):
    """The input of a vector: a request, its subject, the context and the time."""

    request: CheckRequest
    subject: Subject | None
    context: Context
    now: float


def read_case(given: Object, *, clock: float) -> VectorCase:
    """Returns the case of a vector; `clock` is the time where the input names none. Raises
    `InputError`."""
    require_known_keys(given, "")
    now = parse_timestamp(given["now"]) if "now" in given else clock
    subject = Principals(given, now).subject()
    call = None
    if "mcp" in given:
        mcp = optional_object(given, "mcp")
        call = ToolCall(optional_text(mcp, "method"), optional_text(mcp, "tool"))
    return VectorCase(build_vector_request(given), subject, Context(call=call), now)


class PolicyRejected(Exception):
    """A policy that does not load; `stage` is `parse` or `compile`."""

    def __init__(self, stage: str, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.stage = stage
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class VectorResult:
    """What a policy makes of a case: the evaluation, Pomerium's outcome, and the type of device it
    needs."""

    evaluation: Evaluation
    outcome: PomeriumOutcome
    device_type: str | None


def load_policy(document: object, *, source_map: SourceMap) -> Policy:
    """Parses and compiles a document. Raises `PolicyRejected`."""
    problems: list[Problem] = []
    return compile_nodes(
        parse_document(document, source_map=source_map, source_path=(), problems=problems),
        problems,
        source_map=source_map,
    )


def compile_nodes(
    written: Sequence[OperatorNode], problems: list[Problem], *, source_map: SourceMap
) -> Policy:
    """Compiles parsed operators, given the problems of their parsing. Raises `PolicyRejected`."""
    if problems:
        raise PolicyRejected("parse", sorted(problems))
    operators = compile_operators(
        written,
        source_map=source_map,
        available_attributes=ALL_ATTRIBUTES,
        purpose=Purpose.EVALUATE,
        problems=problems,
    )
    if problems:
        raise PolicyRejected("compile", sorted(problems))
    return link_policy(operators)


def evaluate_case(policy: Policy, case: VectorCase) -> VectorResult:
    """Returns what the policy makes of a case."""
    evaluation = evaluate(policy, case.request, case.subject, now=case.now, context=case.context)
    allow, deny = evaluation.allow.outcome, evaluation.deny.outcome
    about_device = bool((allow | deny) & ABOUT_DEVICE)
    types = (criterion.device_type for criterion in policy.criteria if criterion.device_type)
    device_type = next(types, None) if about_device else None
    return VectorResult(evaluation, pomerium_outcome(allow, deny), device_type)
