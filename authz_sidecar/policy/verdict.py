"""Makes a decision of two outcomes, of the allow rules and of the deny rules. The order is
Pomerium's."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

from authz_sidecar.core.types import Allow, Challenge, Decision, Deny
from authz_sidecar.policy.reasons import (
    SUCCESS_BIT,
    UNAUTHENTICATED,
    outcome_of_failure,
    reason_codes,
)


class PomeriumOutcome(StrEnum):
    """What Pomerium does with a request."""

    PERMIT = "permit"
    LOGIN = "login"
    DEVICE_REGISTRATION = "device-registration"
    DENIED = "denied-403"
    DENIED_DEVICE = "denied-450"
    DENIED_CERTIFICATE = "client-cert-denied-495"


_CERTIFICATE = outcome_of_failure("client-certificate-required") | outcome_of_failure(
    "invalid-client-certificate"
)
_DEVICE_MISSING = outcome_of_failure("device-unauthenticated")
_DEVICE_REFUSED = outcome_of_failure("device-unauthorized")


def pomerium_outcome(allow: int, deny: int) -> PomeriumOutcome:
    """Returns what Pomerium does with these outcomes.

    `user-unauthenticated` on either side means a sign-in, even where `allow` holds and `deny` does
    not: a rule about users has no result without a session.
    """
    if deny & _CERTIFICATE:
        return PomeriumOutcome.DENIED_CERTIFICATE
    reasons_of_both = allow | deny
    if reasons_of_both & UNAUTHENTICATED:
        return PomeriumOutcome.LOGIN
    if reasons_of_both & _DEVICE_MISSING:
        return PomeriumOutcome.DEVICE_REGISTRATION
    if allow & SUCCESS_BIT and not deny & SUCCESS_BIT:
        return PomeriumOutcome.PERMIT
    reasons = deny if deny & SUCCESS_BIT else allow
    if reasons & _DEVICE_REFUSED:
        return PomeriumOutcome.DENIED_DEVICE
    return PomeriumOutcome.DENIED_CERTIFICATE if reasons & _CERTIFICATE else PomeriumOutcome.DENIED


@lru_cache(maxsize=4096)
def decision(allow: int, deny: int) -> Decision:
    """Returns the decision for the outcomes of the allow rules and of the deny rules."""
    match pomerium_outcome(allow, deny):
        case PomeriumOutcome.PERMIT:
            return Allow(reason_codes(allow))
        case PomeriumOutcome.LOGIN:
            return Challenge(reason_codes(allow | deny))
        case PomeriumOutcome.DENIED_CERTIFICATE:
            return Deny(reason_codes(deny if deny & _CERTIFICATE else allow))
        case PomeriumOutcome.DEVICE_REGISTRATION:
            return Deny(reason_codes(allow | deny))
        case _:
            return Deny(reason_codes(deny if deny & SUCCESS_BIT else allow))


@lru_cache(maxsize=4096)
def decision_unsatisfiable(allow: int, deny: int) -> Decision:
    """Returns the decision of a policy that no user can satisfy: it denies instead of requiring a
    useless sign-in."""
    if pomerium_outcome(allow, deny) is PomeriumOutcome.LOGIN:
        return Deny(reason_codes(deny if deny & SUCCESS_BIT else allow))
    return decision(allow, deny)


ToDecision = Callable[[int, int], Decision]


def select_decision(*, satisfiable: bool) -> ToDecision:
    """Returns the function that makes decisions, by whether some user can satisfy the policy."""
    return decision if satisfiable else decision_unsatisfiable
