"""The policy language: documents in, compiled policies out, and the one function that decides.

Pure: no clock, no I/O. Knows requests and identities, nothing of proxies, routes or stores.
"""

from __future__ import annotations

from authz_sidecar.policy.compile import Purpose, compile_policy
from authz_sidecar.policy.criteria import About
from authz_sidecar.policy.decide import Evaluation, decide, evaluate
from authz_sidecar.policy.model import Policy
from authz_sidecar.policy.partial_evaluation import Residual, specialise, specialise_for
from authz_sidecar.policy.step_up import foreseen
from authz_sidecar.policy.subject import NO_EVIDENCE, Evidence, Records, Subject, subject_of

__all__ = [
    "NO_EVIDENCE",
    "About",
    "Evaluation",
    "Evidence",
    "Policy",
    "Purpose",
    "Records",
    "Residual",
    "Subject",
    "compile_policy",
    "decide",
    "evaluate",
    "foreseen",
    "specialise",
    "specialise_for",
    "subject_of",
]
