"""Sign-in as the web edge sees it: one method a route, a reply for every request, a page for every
error. Decides nothing itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from authz_sidecar.errors import AuthzError, Throttled
from authz_sidecar.login.assertion import Asserting
from authz_sidecar.login.callback import Returning
from authz_sidecar.login.completion import Landing
from authz_sidecar.login.dependent_hosts import Walking
from authz_sidecar.login.error_pages import trouble_page
from authz_sidecar.login.handoff import HandOver
from authz_sidecar.login.logout import Leaving
from authz_sidecar.login.native_apps import ProgrammaticLogin
from authz_sidecar.login.op_initiated_logout import ProviderLogout
from authz_sidecar.login.session_list import MySessions
from authz_sidecar.login.start import Starting
from authz_sidecar.login.token_endpoint import TokenEndpoint, refusal
from authz_sidecar.login.whoami import WhoAmI

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.login.context import Desk
    from authz_sidecar.login.http import LoginReply, LoginRequest

_log = logging.getLogger(__name__)


class LoginService:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        walking = Walking(desk)
        landing = Landing(desk, walking)
        handover = HandOver(desk, landing)
        self._starting = Starting(desk, handover, walking)
        self._returning = Returning(desk, landing, handover)
        self._handover = handover
        self._leaving = Leaving(desk)
        self._mine = MySessions(desk)
        self._provider_logout = ProviderLogout(desk)
        self._who = WhoAmI(desk)
        self._programmatic = ProgrammaticLogin(desk)
        self._token_endpoint = TokenEndpoint(desk)
        self._asserting = Asserting(desk)

    async def start(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._starting.start, request, throttled="start")

    async def choose(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._starting.choose, request, throttled="choose")

    async def callback(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._returning.callback, request, throttled="callback")

    async def handover(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._handover.handover, request, throttled="handover")

    async def sign_out(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._leaving.sign_out, request)

    async def signed_out(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._leaving.signed_out, request)

    async def sessions(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._mine.page, request)

    async def revoke(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._mine.revoke, request)

    async def back_channel_logout(self, request: LoginRequest) -> LoginReply:
        # Not throttled: all of a provider's logouts come from one address, and none may be lost.
        return await self._answered(self._provider_logout.back_channel, request)

    async def front_channel_logout(self, request: LoginRequest) -> LoginReply:
        handler = self._provider_logout.front_channel
        return await self._answered(handler, request, throttled="frontchannel-logout")

    async def who_am_i(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._who.page, request)

    async def arrive(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._who.arrive, request)

    async def root(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._who.root, request)

    async def userinfo(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._who.userinfo, request)

    async def programmatic_login(self, request: LoginRequest) -> LoginReply:
        handler = self._programmatic.login
        return await self._answered(handler, request, throttled="api/login")

    async def token(self, request: LoginRequest) -> LoginReply:
        """Answers programs, and never with a page."""
        try:
            await self._admit(request, endpoint="api/token")
            return await self._token_endpoint.token(request)
        except AuthzError as error:
            _log.info("token request refused: %s", error)
            return refusal(error)

    async def assertion(self, request: LoginRequest) -> LoginReply:
        return await self._answered(self._asserting.assertion, request)

    def refused(self, error: AuthzError, *, request_id: str) -> LoginReply:
        """For requests that were refused before they could become a `LoginRequest`."""
        _log.info("sign-in request refused: %s", error)
        return trouble_page(error, self._desk.pages, request_id=request_id)

    async def _answered(
        self,
        handler: Callable[[LoginRequest], Awaitable[LoginReply]],
        request: LoginRequest,
        *,
        throttled: str | None = None,
    ) -> LoginReply:
        """`throttled` names an endpoint where strangers could make us work."""
        try:
            if throttled is not None:
                await self._admit(request, endpoint=throttled)
            return await handler(request)
        except AuthzError as error:
            return self.refused(error, request_id=request.request_id)

    async def _admit(self, request: LoginRequest, *, endpoint: str) -> None:
        try:
            await self._desk.throttle.admit(request.client)
        except Throttled:
            self._desk.recorder.throttled(endpoint=endpoint)
            raise
