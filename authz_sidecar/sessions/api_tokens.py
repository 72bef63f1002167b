"""How our own tokens are written: what kind they are, and 256 random bits.

The prefix is for those who find one where it should not be, people and scanners of secrets alike
(RFC 8959 has the idea). What is behind it has the form of a session cookie's value and is none: it
is sealed to another scope.
"""

from __future__ import annotations

from enum import StrEnum

from authz_sidecar.sessions.cookie import is_well_formed_token


class ApiTokenPrefix(StrEnum):
    SERVICE_ACCOUNT = "azsa_"
    TOOL = "azcl_"


def format_api_token(prefix: ApiTokenPrefix, secret: str) -> str:
    return f"{prefix}{secret}"


def parse_api_token(credential: str) -> tuple[ApiTokenPrefix, str] | None:
    """What kind of token this is, and its secret; None when it is none of ours."""
    for prefix in ApiTokenPrefix:
        secret = credential.removeprefix(prefix)
        if secret != credential:
            return (prefix, secret) if is_well_formed_token(secret) else None
    return None


def tool_scope(origin: object) -> str:
    """What a tool's token is sealed to: one host, and there not the cookie."""
    return f"tool:{origin}"
