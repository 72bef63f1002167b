"""The logout endpoint: a page with a form, whose POST ends the sessions here and then at the
provider (RP-Initiated Logout 1.0).

The session is ended before the browser is sent to the provider, whatever happens there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from authz_sidecar.core.types import SessionKind
from authz_sidecar.core.urls import MalformedUrl, parse_origin
from authz_sidecar.login.csrf import CsrfProtection
from authz_sidecar.login.http import LoginResponse, redirect, single_parameter
from authz_sidecar.sessions.api_tokens import tool_scope

if TYPE_CHECKING:
    from authz_sidecar.core.types import Session
    from authz_sidecar.login.context import ActiveSession, LoginContext
    from authz_sidecar.login.http import LoginRequest

_log = logging.getLogger(__name__)

_STATE_PURPOSE = "signed-out home"


class LogoutEndpoint:
    """The endpoints `sign_out` and `signed_out`."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context
        self._form = CsrfProtection(context=context, purpose="sign-out form")

    async def sign_out(self, request: LoginRequest) -> LoginResponse:
        """Show the form (GET), or end the sessions and go on to the provider (POST). Raises
        `BadRequest` for a form without a valid CSRF token."""
        if request.method == "POST":
            return await self._end_sessions(request)
        return await self._confirmation_page(request)

    async def signed_out(self, request: LoginRequest) -> LoginResponse:
        """Return the page after a logout."""
        context = self._context
        return context.page(context.pages.signed_out(home_url=self._signed_out_url(request)))

    async def _confirmation_page(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        sessions = await context.active_sessions(request)
        if not sessions:
            return redirect(context.url(request.origin, "signed_out"))
        first = sessions[0].session
        html = context.pages.sign_out(
            identity=first.identity,
            action_url=f"{context.base_path}/sign_out",
            csrf=self._form.token(request, sessions[0]),
            everywhere=any(active.session.kind is SessionKind.CHILD for active in sessions),
        )
        # A form on a page without referrers is posted with `Origin: null` (Fetch, "append a
        # request Origin header"), which proves nothing.
        return context.page(html).with_header("referrer-policy", "same-origin")

    async def _end_sessions(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        self._form.check_origin(request)
        sessions = await context.active_sessions(request)
        if not sessions:
            return redirect(context.url(request.origin, "signed_out"))
        self._form.check_token(request, sessions)
        here_only = single_parameter(request.form, "scope") == "site"
        provider_url = None if here_only else await self._provider_url(request, sessions[0])
        for active in sessions:
            ended = active.session if here_only else active.session.root_session
            await context.sessions.end(ended)
            if here_only:
                await self._end_tools(request, active.session)
            _log.info("signed out on `%s`: session `%s`", request.origin, ended.public_id)
        cookies = (
            context.cookies.clear_cookie(
                context.cookies.name_for(active.session.identity.provider, request.origin),
                origin=request.origin,
            )
            for active in sessions
        )
        # CSP `form-action` forbids a redirect to the provider after a form; a page that navigates
        # by itself leads there.
        response = (
            redirect(
                context.url(request.origin, "signed_out", state=self._signed_out_state(request))
            )
            if provider_url is None
            else context.page(context.pages.continue_to(url=provider_url))
        )
        return response.with_cookies(*cookies)

    async def _end_tools(self, request: LoginRequest, session: Session) -> None:
        """End the sessions of the user's command-line tools on this host; the login goes on
        elsewhere."""
        identity, scope = session.identity, tool_scope(request.origin)
        for summary in await self._context.sessions.list_for_user(
            provider=identity.provider, issuer=identity.issuer, subject=identity.subject
        ):
            if summary.scope == scope and summary.parent == session.root_session.public_id:
                await self._context.sessions.end_listed(summary)

    async def _provider_url(self, request: LoginRequest, active: ActiveSession) -> str | None:
        context = self._context
        tokens = await context.sessions.provider_tokens(active.token)
        # One URL has to be registered at the provider: the central host's, where there is one.
        host = context.auth_host or request.origin
        return context.providers[active.session.identity.provider].end_session_url(
            id_token=None if tokens is None else tokens.id_token,
            return_to=context.url(host, "signed_out"),
            state=self._signed_out_state(request),
        )

    def _signed_out_state(self, request: LoginRequest) -> str:
        return self._context.keys.seal_text(_STATE_PURPOSE, str(request.origin).encode())

    def _signed_out_url(self, request: LoginRequest) -> str:
        context = self._context
        sealed = single_parameter(request.query, "state") or ""
        data = context.keys.open_text(_STATE_PURPOSE, sealed) if len(sealed) < 1024 else None
        if data is not None:
            try:
                origin = parse_origin(data.decode())
            except MalformedUrl:
                return context.default_url(request.origin)
            if context.is_known_origin(origin):
                return context.default_url(origin)
        return context.default_url(request.origin)
