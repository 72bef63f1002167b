"""Forms of our own pages: shown to one session, and good for no other.

Decides whether a POST was meant by the person whose cookie came with it.
"""

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
    """`purpose` keeps the token of one form from passing in another."""

    context: LoginContext
    purpose: str

    def token(self, request: LoginRequest, found: ActiveSession) -> str:
        context = self.context
        data = json.dumps(
            [found.session.public_id, context.clock() + MAX_FORM_AGE_SECONDS]
        ).encode()
        return context.keys.seal_text(
            self.purpose, data, associated_data=str(request.origin).encode()
        )

    def check_origin(self, request: LoginRequest) -> None:
        """What the browser itself says of where the form was; asked before anything else. `null`
        says nothing, which is enough only where the other header says more."""
        site = request.header("sec-fetch-site")
        allowed = {str(request.origin)} | ({"null"} if site == "same-origin" else set())
        if any(origin not in allowed for origin in request.header_lines("origin")):
            raise BadRequest(f"{self.purpose} of another origin")
        if site not in {None, "same-origin"}:
            raise BadRequest(f"{self.purpose} of another site")

    def check_token(self, request: LoginRequest, found: tuple[ActiveSession, ...]) -> None:
        """The form was shown to one of these very sessions: nobody else could have asked for it."""
        context = self.context
        sealed = single_parameter(request.form, "csrf") or ""
        data = context.keys.open_text(
            self.purpose, sealed, associated_data=str(request.origin).encode()
        )
        if data is None:
            raise BadRequest(f"{self.purpose} without its token")
        handle, expires_at = json.loads(data)
        if handle not in {each.session.public_id for each in found} or expires_at < context.clock():
            raise BadRequest(f"{self.purpose} with the token of another session, or an old one")
