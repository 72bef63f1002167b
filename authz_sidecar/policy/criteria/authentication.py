"""`authentication`: when and how the user signed in (`max_age`, `acr`, `amr`).

Each condition that fails has a reason of its own, so that a sign-in can be required to meet it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.step_up import AuthenticationRequirement
from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.reasons import UNAUTHENTICATED, outcome_of_failure, outcome_of_success

if TYPE_CHECKING:
    from authz_sidecar.policy.subject import Subject

_KEYS = ("acr", "amr", "max_age")
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
_MAX_AGE_SECONDS = 1e9
_UNIT_SECONDS = (86400, 3600, 60, 1)
# OpenID Connect Core, 3.1.2.1: `acr_values` is a "Space-separated string"; RFC 9470 section 3 has it
# in a quoted-string as well.
_ACR = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def authentication(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `authentication`; None after reporting problems."""
    if not isinstance(data, Mapping) or not data:
        compile_context.problem("takes an object with `max_age`, `acr` or `amr`")
        return None
    before = len(compile_context.problems)
    for key in data:
        if key not in _KEYS:
            compile_context.problem(unknown_name_message("condition", key, _KEYS), str(key))
    max_age = _max_age(data, compile_context)
    acr = _names(data, "acr", compile_context)
    amr = _names(data, "amr", compile_context)
    if not all(_ACR.fullmatch(level) for level in acr):
        compile_context.problem("a level is visible ASCII without quotes and backslashes", "acr")
    if len(compile_context.problems) > before:
        return None
    return _criterion(
        AuthenticationRequirement(max_age=max_age, acr=acr, amr=tuple(sorted(amr))), compile_context
    )


def _criterion(
    requirement: AuthenticationRequirement, compile_context: CompileContext
) -> Criterion:
    max_age = requirement.max_age
    ok = outcome_of_success("authentication-ok")
    too_old = outcome_of_failure("authentication-too-old")
    wrong_acr, wrong_amr = (
        outcome_of_failure("authentication-acr"),
        outcome_of_failure("authentication-amr"),
    )

    def test(_request: object, subject: Subject | None, now: float, _context: object) -> int:
        if subject is None:
            return UNAUTHENTICATED
        missing = requirement.unmet_by(subject, now=now)
        if missing is None:
            return ok
        return (
            (0 if missing.max_age is None else too_old)
            | (wrong_acr if missing.acr else 0)
            | (wrong_amr if missing.amr else 0)
        )

    def stable_until(subject: Subject | None, now: float) -> float:
        if max_age is None or subject is None or subject.authenticated_at is None:
            return float("inf")
        expires_at = subject.authenticated_at + max_age
        return expires_at if now < expires_at else float("inf")

    criterion = compile_context.criterion(
        test, Dependency.SUBJECT | Dependency.TIME, stable_until=stable_until
    )
    return replace(criterion, requirement=requirement)


def _max_age(data: Mapping[str, object], compile_context: CompileContext) -> float | None:
    if "max_age" not in data:
        return None
    value = data["max_age"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 < value <= _MAX_AGE_SECONDS:
            return float(value)
        value = None
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    pairs = zip(match.groups(), _UNIT_SECONDS, strict=True) if match else ()
    seconds = float(sum(int(count) * unit for count, unit in pairs if count is not None))
    if not seconds:
        compile_context.problem("takes a duration such as `30m` or `1h30m`", "max_age")
        return None
    return seconds


def _names(
    data: Mapping[str, object], key: str, compile_context: CompileContext
) -> tuple[str, ...]:
    """`acr`: any of them will do; `amr`: all of them are needed."""
    if key not in data:
        return ()
    value = data[key]
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names:
        compile_context.problem("takes a string or an array of strings", key)
        return ()
    if not all(isinstance(name, str) and name for name in names):
        compile_context.problem("takes a string or an array of strings", key)
        return ()
    return tuple(dict.fromkeys(names))
