"""The token endpoint's answer (RFC 6749 section 5.1), and its refusal of a refresh token."""

from __future__ import annotations

from dataclasses import dataclass, field

from authz_sidecar.errors import LoginRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """`expires_in` is that of the access token, in seconds."""

    id_token: str | None = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: float | None


class RefreshRefused(LoginRefused):
    """The refresh token is no longer good: the provider has ended what it stood for."""
