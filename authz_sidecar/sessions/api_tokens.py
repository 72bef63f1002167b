"""The format of our API tokens: a prefix for their kind, then 256 random bits in base64url.

The prefix lets people and secret scanners recognise a leaked token (the idea of RFC 8959). The
secret has the form of a session cookie's value but is sealed to another scope, so neither is
accepted in place of the other.
"""

from __future__ import annotations

from enum import StrEnum

from authz_sidecar.sessions.cookie import is_well_formed_token


class ApiTokenPrefix(StrEnum):
    """The prefix of an API token, one for each kind of token."""

    SERVICE_ACCOUNT = "azsa_"
    TOOL = "azcl_"


def format_api_token(prefix: ApiTokenPrefix, secret: str) -> str:
    """The API token with this prefix and secret."""
    return f"{prefix}{secret}"


def parse_api_token(credential: str) -> tuple[ApiTokenPrefix, str] | None:
    """The prefix and the secret of an API token; None when the credential is not one of ours."""
    for prefix in ApiTokenPrefix:
        secret = credential.removeprefix(prefix)
        if secret != credential:
            return (prefix, secret) if is_well_formed_token(secret) else None
    return None


def tool_scope(origin: object) -> str:
    """The scope to which the token of a command-line tool is sealed: one host, and not its
    cookie."""
    return f"tool:{origin}"
