"""CSRF protection of the forms on our own pages: a token bound to session, host and form, and
checks of `Origin` and `Sec-Fetch-Site`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.login.http import BadRequest, single_parameter

if TYPE_CHECKING:
    from authz_sidecar.login.context import ActiveSession, LoginContext
    from authz_sidecar.login.http import LoginRequest

MAX_FORM_AGE_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrfProtection:
    """The CSRF protection of one form.

    `purpose`: the name of the form; a token of one form is not valid for another.
    """

    context: LoginContext
    purpose: str

    def token(self, request: LoginRequest, active: ActiveSession) -> str:
        """Return the form's CSRF token for a session, valid for `MAX_FORM_AGE_SECONDS`."""
        context = self.context
        data = json.dumps(
            [active.session.public_id, context.clock() + MAX_FORM_AGE_SECONDS]
        ).encode()
        return context.keys.seal_text(
            self.purpose, data, associated_data=str(request.origin).encode()
        )

    def check_origin(self, request: LoginRequest) -> None:
        """Check that the browser sent the form from this origin; call it before anything else.
        Raises `BadRequest`.

        `Origin: null` is accepted only with `Sec-Fetch-Site: same-origin`.
        """
        site = request.header("sec-fetch-site")
        allowed = {str(request.origin)} | ({"null"} if site == "same-origin" else set())
        if any(origin not in allowed for origin in request.header_lines("origin")):
            raise BadRequest(f"{self.purpose} of another origin")
        if site not in {None, "same-origin"}:
            raise BadRequest(f"{self.purpose} of another site")

    def check_token(self, request: LoginRequest, sessions: tuple[ActiveSession, ...]) -> None:
        """Check that the form's token belongs to one of these sessions and has not expired. Raises
        `BadRequest`."""
        context = self.context
        sealed = single_parameter(request.form, "csrf") or ""
        data = context.keys.open_text(
            self.purpose, sealed, associated_data=str(request.origin).encode()
        )
        if data is None:
            raise BadRequest(f"{self.purpose} without its token")
        public_id, expires_at = json.loads(data)
        if (
            public_id not in {active.session.public_id for active in sessions}
            or expires_at < context.clock()
        ):
            raise BadRequest(f"{self.purpose} with the token of another session, or an old one")
