"""`device`: a device credential of the session (WebAuthn). Only for test vectors: nothing delivers
devices yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.reasons import (
    ABOUT_DEVICE,
    UNAUTHENTICATED,
    outcome_of_failure,
    outcome_of_success,
)

if TYPE_CHECKING:
    from authz_sidecar.policy.subject import Subject

_KEYS = ("approved", "is", "type")


def device(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `device`; None after reporting problems."""
    if not isinstance(data, Mapping):
        compile_context.problem("takes an object with `type`, `is` or `approved`")
        return None
    if not _sound(data, compile_context):
        return None
    kind = str(data.get("type", "any"))
    credential = data.get("is")
    approved = _truthy(data["approved"]) if "approved" in data else None
    unauthenticated = UNAUTHENTICATED | ABOUT_DEVICE
    missing = outcome_of_failure("device-unauthenticated") | ABOUT_DEVICE
    passing = outcome_of_success("device-ok") | ABOUT_DEVICE
    failing = outcome_of_failure("device-unauthorized") | ABOUT_DEVICE

    def test(_request: object, subject: Subject | None, _now: float, _context: object) -> int:
        if subject is None:
            return unauthenticated
        credential_record = next(
            (candidate for candidate in subject.devices if candidate.kind == kind), None
        )
        if credential_record is None or not credential_record.enrolled:
            return missing
        if credential is not None and credential_record.credential != credential:
            return failing
        return failing if approved not in (None, credential_record.approved) else passing

    return replace(compile_context.criterion(test, Dependency.SUBJECT), device_type=kind)


def _sound(data: Mapping[object, object], compile_context: CompileContext) -> bool:
    before = len(compile_context.problems)
    for key in data:
        if key not in _KEYS:
            compile_context.problem(unknown_name_message("device condition", key, _KEYS), str(key))
    for key in ("is", "type"):
        if key in data and not isinstance(data[key], str):
            compile_context.problem("takes a string", key)
    return len(compile_context.problems) == before


def _truthy(value: object) -> bool:
    """JavaScript's truth value, as Pomerium has it: empty arrays and objects are true."""
    return bool(value) or isinstance(value, list | tuple | Mapping)
