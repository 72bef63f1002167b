"""Why a token does not count, in two voices: for the log, and for whoever brought it, who is not told
which check it was."""

from __future__ import annotations

from authz_sidecar.errors import LoginRefused


class TokenRefused(LoginRefused):
    """`code` is the error of RFC 6750 section 3.1 or RFC 9449 section 7.1; `public` is said to the
    program: visible ASCII, without quotes and backslashes."""

    public = "The token does not count here."

    def __init__(
        self, message: str, *, code: str = "invalid_token", public: str | None = None
    ) -> None:
        super().__init__(message, public=public)
        self.code = code
