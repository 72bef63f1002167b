"""The policy language (PPL): parses documents, compiles policies, and decides requests.

Pure: no clock, no I/O. Knows requests and identities; must not know of adapters, routes or stores.
"""

from __future__ import annotations

from authz_sidecar.policy.compile import Purpose, compile_policy
from authz_sidecar.policy.criteria import Dependency
from authz_sidecar.policy.decide import Evaluation, decide, evaluate
from authz_sidecar.policy.model import Policy
from authz_sidecar.policy.partial_evaluation import (
    Residual,
    partially_evaluate,
    partially_evaluate_subject,
)
from authz_sidecar.policy.step_up import anticipate
from authz_sidecar.policy.subject import NO_CONTEXT, Context, RecordSource, Subject, build_subject

__all__ = [
    "NO_CONTEXT",
    "Context",
    "Dependency",
    "Evaluation",
    "Policy",
    "Purpose",
    "RecordSource",
    "Residual",
    "Subject",
    "anticipate",
    "build_subject",
    "compile_policy",
    "decide",
    "evaluate",
    "partially_evaluate",
    "partially_evaluate_subject",
]
