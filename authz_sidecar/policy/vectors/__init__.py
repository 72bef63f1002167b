"""Test vectors: the world as Pomerium's records describe it, read into what a policy looks at.

Strict: an input that is not understood is an error, never ignored. An absent one has upstream's
meaning: the record does not exist, the attribute does not match.
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
