"""Sign-in as the web edge sees it: one method a route, a reply for every request, a page for every
error. Decides nothing itself."""

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
    def __init__(self, context: LoginContext) -> None:
        self._context = context
        host_chain = HostChain(context)
        completion = LoginCompletion(context, host_chain)
        handover = SessionHandoff(context, completion)
        self._starting = StartEndpoint(context, handover, host_chain)
        self._returning = CallbackEndpoint(context, completion, handover)
        self._handover = handover
        self._leaving = LogoutEndpoint(context)
        self._mine = SessionList(context)
        self._provider_logout = OpInitiatedLogout(context)
        self._who = WhoAmIEndpoint(context)
        self._programmatic = NativeAppLogin(context)
        self._token_endpoint = TokenEndpoint(context)
        self._asserting = AssertionEndpoint(context)

    async def start(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._starting.start, request, rate_limited_as="start")

    async def choose(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._starting.choose, request, rate_limited_as="choose")

    async def callback(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._returning.respond, request, rate_limited_as="callback")

    async def handover(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(
            self._handover.redeem_ticket, request, rate_limited_as="handover"
        )

    async def sign_out(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._leaving.sign_out, request)

    async def signed_out(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._leaving.signed_out, request)

    async def sessions(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._mine.page, request)

    async def revoke(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._mine.revoke, request)

    async def back_channel_logout(self, request: LoginRequest) -> LoginResponse:
        # Not throttled: all of a provider's logouts come from one address, and none may be lost.
        return await self._respond(self._provider_logout.back_channel, request)

    async def front_channel_logout(self, request: LoginRequest) -> LoginResponse:
        handler = self._provider_logout.front_channel
        return await self._respond(handler, request, rate_limited_as="frontchannel-logout")

    async def whoami(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._who.page, request)

    async def whoami_redirect(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._who.redirect_to_page, request)

    async def root(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._who.root, request)

    async def userinfo(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._who.userinfo, request)

    async def native_app_login(self, request: LoginRequest) -> LoginResponse:
        handler = self._programmatic.respond
        return await self._respond(handler, request, rate_limited_as="api/login")

    async def token(self, request: LoginRequest) -> LoginResponse:
        """Answers programs, and never with a page."""
        try:
            await self._check_rate(request, endpoint="api/token")
            return await self._token_endpoint.respond(request)
        except AuthzError as error:
            _log.info("token request refused: %s", error)
            return error_response(error)

    async def assertion(self, request: LoginRequest) -> LoginResponse:
        return await self._respond(self._asserting.respond, request)

    def error_response(self, error: AuthzError, *, request_id: str) -> LoginResponse:
        """For requests that were refused before they could become a `LoginRequest`."""
        _log.info("sign-in request refused: %s", error)
        return error_page(error, self._context.pages, request_id=request_id)

    async def _respond(
        self,
        handler: Callable[[LoginRequest], Awaitable[LoginResponse]],
        request: LoginRequest,
        *,
        rate_limited_as: str | None = None,
    ) -> LoginResponse:
        """`rate_limited_as` names an endpoint where strangers could make us work."""
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
