"""Test vectors: input in the shape of Pomerium's records, converted to what a policy reads.

Strict: an unknown input is an error, never ignored. An absent one has Pomerium's meaning: the
record does not exist, the attribute does not match.
"""

from authz_sidecar.policy.vectors.evaluating import (
    PolicyRejected,
    VectorCase,
    VectorResult,
    compile_nodes,
    evaluate_case,
    load_policy,
    read_case,
)
from authz_sidecar.policy.vectors.values import InputError

__all__ = [
    "InputError",
    "PolicyRejected",
    "VectorCase",
    "VectorResult",
    "compile_nodes",
    "evaluate_case",
    "load_policy",
    "read_case",
]
