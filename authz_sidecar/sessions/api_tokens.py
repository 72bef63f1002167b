"""How our own tokens are written: what kind they are, and 256 random bits.

The prefix is for those who find one where it should not be, people and scanners of secrets alike
(RFC 8959 has the idea). What is behind it has the form of a session cookie's value and is none: it
is sealed to another scope.
"""

from __future__ import annotations

from enum import StrEnum

from authz_sidecar.sessions.cookie import is_token


class Prefix(StrEnum):
    SERVICE_ACCOUNT = "azsa_"
    TOOL = "azcl_"


def written(prefix: Prefix, secret: str) -> str:
    return f"{prefix}{secret}"


def read(credential: str) -> tuple[Prefix, str] | None:
    """What kind of token this is, and its secret; None when it is none of ours."""
    for prefix in Prefix:
        secret = credential.removeprefix(prefix)
        if secret != credential:
            return (prefix, secret) if is_token(secret) else None
    return None


def tool_scope(origin: object) -> str:
    """What a tool's token is sealed to: one host, and there not the cookie."""
    return f"tool:{origin}"
