"""What two results, of the allow rules and of the deny rules, come to. Order as upstream's."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

from authz_sidecar.core.types import Allow, Challenge, Decision, Deny
from authz_sidecar.policy.reasons import HELD, UNAUTHENTICATED, codes, fails


class Outcome(StrEnum):
    PERMIT = "permit"
    LOGIN = "login"
    DEVICE_REGISTRATION = "device-registration"
    DENIED = "denied-403"
    DENIED_DEVICE = "denied-450"
    DENIED_CERTIFICATE = "client-cert-denied-495"


_CERTIFICATE = fails("client-certificate-required") | fails("invalid-client-certificate")
_DEVICE_MISSING = fails("device-unauthenticated")
_DEVICE_REFUSED = fails("device-unauthorized")


def outcome(allow: int, deny: int) -> Outcome:
    """A `user-unauthenticated` on either side asks for a sign-in, even where `allow` holds and
    `deny` does not: a rule about people cannot be answered for nobody."""
    if deny & _CERTIFICATE:
        return Outcome.DENIED_CERTIFICATE
    either = allow | deny
    if either & UNAUTHENTICATED:
        return Outcome.LOGIN
    if either & _DEVICE_MISSING:
        return Outcome.DEVICE_REGISTRATION
    if allow & HELD and not deny & HELD:
        return Outcome.PERMIT
    reasons = deny if deny & HELD else allow
    if reasons & _DEVICE_REFUSED:
        return Outcome.DENIED_DEVICE
    return Outcome.DENIED_CERTIFICATE if reasons & _CERTIFICATE else Outcome.DENIED


@lru_cache(maxsize=4096)
def verdict(allow: int, deny: int) -> Decision:
    match outcome(allow, deny):
        case Outcome.PERMIT:
            return Allow(codes(allow))
        case Outcome.LOGIN:
            return Challenge(codes(allow | deny))
        case Outcome.DENIED_CERTIFICATE:
            return Deny(codes(deny if deny & _CERTIFICATE else allow))
        case Outcome.DEVICE_REGISTRATION:
            return Deny(codes(allow | deny))
        case _:
            return Deny(codes(deny if deny & HELD else allow))


@lru_cache(maxsize=4096)
def verdict_for_nobody(allow: int, deny: int) -> Decision:
    """For policies that nobody can satisfy: nobody is asked to sign in for what nobody may have."""
    if outcome(allow, deny) is Outcome.LOGIN:
        return Deny(codes(deny if deny & HELD else allow))
    return verdict(allow, deny)


Judge = Callable[[int, int], Decision]


def judge(*, satisfiable: bool) -> Judge:
    return verdict if satisfiable else verdict_for_nobody
