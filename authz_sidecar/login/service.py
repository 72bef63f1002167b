"""The login service that the web application calls: one method for each endpoint, and an error page
for every refusal.

Decides nothing itself; applies the rate limits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from authz_sidecar.errors import AuthzError, RateLimited
from authz_sidecar.login.assertion import AssertionEndpoint
from authz_sidecar.login.callback import CallbackEndpoint
from authz_sidecar.login.completion import LoginCompletion
from authz_sidecar.login.dependent_hosts import HostChain
from authz_sidecar.login.error_pages import error_page
from authz_sidecar.login.handoff import SessionHandoff
from authz_sidecar.login.logout import LogoutEndpoint
from authz_sidecar.login.native_apps import NativeAppLogin
from authz_sidecar.login.op_initiated_logout import OpInitiatedLogout
from authz_sidecar.login.session_list import SessionList
from authz_sidecar.login.start import StartEndpoint
from authz_sidecar.login.token_endpoint import TokenEndpoint, error_response
from authz_sidecar.login.whoami import WhoAmIEndpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.http import LoginRequest, LoginResponse

_log = logging.getLogger(__name__)


class LoginService:
    """The endpoints of login and logout. Every method returns a response: `AuthzError` becomes an
    error page."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context
        host_chain = HostChain(context)
        completion = LoginCompletion(context, host_chain)
        handoff = SessionHandoff(context, completion)
        self._start = StartEndpoint(context, handoff, host_chain)
        self._callback = CallbackEndpoint(context, completion, handoff)
        self._handoff = handoff
        self._logout = LogoutEndpoint(context)
        self._session_list = SessionList(context)
        self._op_logout = OpInitiatedLogout(context)
        self._whoami = WhoAmIEndpoint(context)
        self._native_apps = NativeAppLogin(context)
        self._token_endpoint = TokenEndpoint(context)
        self._assertion = AssertionEndpoint(context)

    async def start(self, request: LoginRequest) -> LoginResponse:
        """Begin a login."""
        return await self._respond(self._start.start, request, rate_limited_as="start")

    async def choose(self, request: LoginRequest) -> LoginResponse:
        """Show the provider chooser."""
        return await self._respond(self._start.choose, request, rate_limited_as="choose")

    async def callback(self, request: LoginRequest) -> LoginResponse:
        """Receive the provider's authorization response."""
        return await self._respond(self._callback.respond, request, rate_limited_as="callback")

    async def handover(self, request: LoginRequest) -> LoginResponse:
        """Redeem the central host's ticket for a session on this host."""
        return await self._respond(self._handoff.redeem_ticket, request, rate_limited_as="handover")

    async def sign_out(self, request: LoginRequest) -> LoginResponse:
        """Show the logout form, or end the sessions that it names."""
        return await self._respond(self._logout.sign_out, request)

    async def signed_out(self, request: LoginRequest) -> LoginResponse:
        """Show that the user is logged out."""
        return await self._respond(self._logout.signed_out, request)

    async def sessions(self, request: LoginRequest) -> LoginResponse:
        """Show the user's sessions."""
        return await self._respond(self._session_list.page, request)

    async def revoke(self, request: LoginRequest) -> LoginResponse:
        """End the sessions that the user chose."""
        return await self._respond(self._session_list.revoke, request)

    async def back_channel_logout(self, request: LoginRequest) -> LoginResponse:
        """Process a logout token from a provider (OpenID Connect Back-Channel Logout 1.0)."""
        # No rate limit: all logout tokens of a provider come from one address, and none may be lost.
        return await self._respond(self._op_logout.back_channel, request)

    async def front_channel_logout(self, request: LoginRequest) -> LoginResponse:
        """Process a logout request in a provider's frame (OpenID Connect Front-Channel Logout 1.0)."""
        handler = self._op_logout.front_channel
        return await self._respond(handler, request, rate_limited_as="frontchannel-logout")

    async def whoami(self, request: LoginRequest) -> LoginResponse:
        """Show the current user."""
        return await self._respond(self._whoami.page, request)

    async def whoami_redirect(self, request: LoginRequest) -> LoginResponse:
        """Redirect to the page about the current user."""
        return await self._respond(self._whoami.redirect_to_page, request)

    async def root(self, request: LoginRequest) -> LoginResponse:
        """Handle a request for the root of a host."""
        return await self._respond(self._whoami.root, request)

    async def userinfo(self, request: LoginRequest) -> LoginResponse:
        """Return the current user as JSON."""
        return await self._respond(self._whoami.userinfo, request)

    async def native_app_login(self, request: LoginRequest) -> LoginResponse:
        """Let a command-line tool request a token in the browser (RFC 8252)."""
        handler = self._native_apps.respond
        return await self._respond(handler, request, rate_limited_as="api/login")

    async def token(self, request: LoginRequest) -> LoginResponse:
        """Exchange a command-line tool's code for a token. Errors are JSON (RFC 6749 section 5.2)."""
        try:
            await self._check_rate(request, endpoint="api/token")
            return await self._token_endpoint.respond(request)
        except AuthzError as error:
            _log.info("token request refused: %s", error)
            return error_response(error)

    async def assertion(self, request: LoginRequest) -> LoginResponse:
        """Return the identity assertion for scripts of this host."""
        return await self._respond(self._assertion.respond, request)

    def error_response(self, error: AuthzError, *, request_id: str) -> LoginResponse:
        """Return the error page for a request that could not become a `LoginRequest`."""
        _log.info("sign-in request refused: %s", error)
        return error_page(error, self._context.pages, request_id=request_id)

    async def _respond(
        self,
        handler: Callable[[LoginRequest], Awaitable[LoginResponse]],
        request: LoginRequest,
        *,
        rate_limited_as: str | None = None,
    ) -> LoginResponse:
        """Call the handler and turn `AuthzError` into an error page.

        `rate_limited_as`: the endpoint's name in the rate limit of clients that are not logged in;
        None for no limit.
        """
        try:
            if rate_limited_as is not None:
                await self._check_rate(request, endpoint=rate_limited_as)
            return await handler(request)
        except AuthzError as error:
            return self.error_response(error, request_id=request.request_id)

    async def _check_rate(self, request: LoginRequest, *, endpoint: str) -> None:
        try:
            await self._context.rate_limiter.admit(request.client)
        except RateLimited:
            self._context.recorder.count_throttled(endpoint=endpoint)
            raise
