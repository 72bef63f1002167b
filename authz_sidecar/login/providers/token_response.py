"""The response of the token endpoint (RFC 6749 section 5.1), and the refusal of a refresh token."""

from __future__ import annotations

from dataclasses import dataclass, field

from authz_sidecar.errors import LoginRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """The tokens of one response.

    `expires_in`: the lifetime of the access token, in seconds.
    """

    id_token: str | None = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: float | None


class RefreshRefused(LoginRefused):
    """The refresh token is no longer valid: the provider has ended the login."""
