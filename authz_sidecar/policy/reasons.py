"""Outcomes as integers: bit 0 says whether a rule holds, every other bit is one reason code.

Merging outcomes is one `|` and inverting one `^`, and nothing is allocated while a request is
decided. Codes are Pomerium's where it has one; they are shown to people and written to logs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

SUCCESS_BIT = 1

CODES = (
    "accept",
    "authentication-ok",
    "authentication-acr",
    "authentication-amr",
    "authentication-too-old",
    "claim-ok",
    "claim-unauthorized",
    "client-certificate-ok",
    "client-certificate-required",
    "client-certificate-unauthorized",
    "client-certificate-unknown",
    "cors-request",
    "cors-request-unknown",
    "date-ok",
    "date-unauthorized",
    "day-of-week-ok",
    "day-of-week-unauthorized",
    "device-ok",
    "device-unauthenticated",
    "device-unauthorized",
    "domain-ok",
    "domain-unauthorized",
    "email-ok",
    "email-unauthorized",
    "groups-ok",
    "groups-unauthorized",
    "http-header-ok",
    "http-header-unauthorized",
    "http-header-unknown",
    "http-method-ok",
    "http-method-unauthorized",
    "http-method-unknown",
    "http-path-ok",
    "http-path-unauthorized",
    "http-path-unknown",
    "invalid-client-certificate",
    "mcp-not-a-tool-call",
    "mcp-tool-match",
    "mcp-tool-no-match",
    "mcp-tool-unknown",
    "non-cors-request",
    "query-ok",
    "query-unauthorized",
    "query-unknown",
    "record-ok",
    "record-unauthorized",
    "record-unknown",
    "reject",
    "route-misconfigured",
    "source-ip-ok",
    "source-ip-unauthorized",
    "source-ip-unknown",
    "time-of-day-ok",
    "time-of-day-unauthorized",
    "user-ok",
    "user-unauthenticated",
    "user-unauthorized",
    "valid-client-certificate",
)

ABOUT_DEVICE = 2 << len(CODES)
"""Beside the codes: a criterion about a device took part in the outcome."""

_FAILS = {code: 2 << index for index, code in enumerate(CODES)}
_HOLDS = {code: bit | SUCCESS_BIT for code, bit in _FAILS.items()}


def outcome_of_success(code: str) -> int:
    """Returns the outcome "holds, because of `code`"."""
    return _HOLDS[code]


def outcome_of_failure(code: str) -> int:
    """Returns the outcome "does not hold, because of `code`"."""
    return _FAILS[code]


@lru_cache(maxsize=4096)
def reason_codes(outcome: int) -> frozenset[str]:
    """Returns the reason codes of an outcome."""
    return frozenset(code for code, bit in _FAILS.items() if outcome & bit)


class Result(NamedTuple):
    """An outcome with its reason codes by name."""

    outcome: int

    @property
    def holds(self) -> bool:
        """Whether the rule holds."""
        return bool(self.outcome & SUCCESS_BIT)

    @property
    def reasons(self) -> frozenset[str]:
        """The reason codes, whether it holds or not."""
        return reason_codes(self.outcome)


UNAUTHENTICATED = outcome_of_failure("user-unauthenticated")
"""The outcome of every criterion about a user when there is no session, negated ones included."""
