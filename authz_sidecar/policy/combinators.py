"""The four operators and how they combine outcomes (Pomerium's truth tables and reason codes).

`and` true keeps every reason, false those of the failures; `or` true those of the successes, false
every reason. `not` is an inverted `or`, `nor` an inverted `and`; inversion keeps the reasons.
Constant parts are folded, so the same code compiles a policy and evaluates it partially.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from authz_sidecar.core.types import CheckRequest
from authz_sidecar.policy.reasons import SUCCESS_BIT
from authz_sidecar.policy.subject import Context, Subject

Test = Callable[[CheckRequest, Subject | None, float, Context], int]
"""Evaluates one or more criteria for (request, subject, now, context) and returns the outcome;
never raises."""

Part = int | Test
"""The outcome of a constant part, or the test of any other."""


def any_of(parts: Sequence[Part]) -> Part:
    """Returns `or` of the parts. Without parts it does not hold, for no reason."""
    true, false, tests = _sorted(parts)
    if not tests:
        return true or false
    if len(tests) == 1 and not true and not false:
        return tests[0]

    def test(request: CheckRequest, subject: Subject | None, now: float, context: Context) -> int:
        successes, failures = true, false
        for criterion_test in tests:
            outcome = criterion_test(request, subject, now, context)
            if outcome & SUCCESS_BIT:
                successes |= outcome
            else:
                failures |= outcome
        return successes or failures

    return test


def all_of(parts: Sequence[Part]) -> Part:
    """Returns `and` of at least one part."""
    true, false, tests = _sorted(parts)
    if not tests:
        return false or true
    if len(tests) == 1 and not true and not false:
        return tests[0]

    def test(request: CheckRequest, subject: Subject | None, now: float, context: Context) -> int:
        successes, failures = true, false
        for criterion_test in tests:
            outcome = criterion_test(request, subject, now, context)
            if outcome & SUCCESS_BIT:
                successes |= outcome
            else:
                failures |= outcome
        return failures or successes

    return test


def negate(part: Part) -> Part:
    """Returns the part inverted, with the same reasons."""
    if isinstance(part, int):
        return part ^ SUCCESS_BIT

    def test(request: CheckRequest, subject: Subject | None, now: float, context: Context) -> int:
        return part(request, subject, now, context) ^ SUCCESS_BIT

    return test


def _sorted(parts: Sequence[Part]) -> tuple[int, int, tuple[Test, ...]]:
    """The merged constant successes, the merged constant failures, and the tests."""
    true = false = 0
    tests: list[Test] = []
    for part in parts:
        if not isinstance(part, int):
            tests.append(part)
        elif part & SUCCESS_BIT:
            true |= part
        else:
            false |= part
    return true, false, tuple(tests)
