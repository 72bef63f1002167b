"""Logout initiated by the provider: by a signed logout token (OpenID Connect Back-Channel Logout
1.0), or by a frame in the browser (Front-Channel Logout 1.0).

Neither request carries a cookie. The first is authenticated by its signature, the second only by a
session id that the provider and its user know.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from authz_sidecar.core.browser_headers import OPENER_POLICY, RESOURCE_POLICY
from authz_sidecar.errors import AuthzError, LoginRefused
from authz_sidecar.login.http import NO_STORE, BadRequest, LoginResponse, single_parameter
from authz_sidecar.oidc.jws import LEEWAY_SECONDS
from authz_sidecar.oidc.logout_token import MAX_AGE_SECONDS, LogoutToken, unverified_issuer

if TYPE_CHECKING:
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.providers import OIDCClient

_log = logging.getLogger(__name__)

_MAX_SID_LENGTH = 255
_FRAME = (
    ("content-type", "text/html; charset=utf-8"),
    # No frame-ancestors: the provider's page shows this in a frame, on any host.
    ("content-security-policy", "default-src 'none'; sandbox"),
    (RESOURCE_POLICY, "cross-origin"),
    # HTML, "Navigation": with an opener policy, a sandboxed document is a network error.
    (OPENER_POLICY, "unsafe-none"),
    *NO_STORE,
)


class OpInitiatedLogout:
    """The endpoints for back-channel and front-channel logout."""

    def __init__(self, context: LoginContext) -> None:
        self._context = context

    async def back_channel(self, request: LoginRequest) -> LoginResponse:
        """End the sessions that a logout token names. The status is 200 when they are ended and 400
        when the token is refused; after any other status the provider tries again (Back-Channel
        Logout 1.0, section 2.8)."""
        try:
            await self._back_channel(request)
        except AuthzError as error:
            status = 400 if isinstance(error, LoginRefused) else error.status
            _log.warning("logout token refused: %s", error)
            body = json.dumps({"error": "invalid_request" if status == 400 else "server_error"})
            headers = (("content-type", "application/json"), *NO_STORE)
            return LoginResponse(status=status, headers=headers, body=body.encode())
        return LoginResponse(status=200, headers=NO_STORE)

    async def _back_channel(self, request: LoginRequest) -> None:
        context = self._context
        text = single_parameter(request.form, "logout_token")
        if not text:
            raise BadRequest("back-channel logout without a token")
        provider, token = await self._verified(text)
        replay_key = f"logout token {token.issuer} {provider.settings.client_id} {token.id}"
        if await context.sessions.one_time.was_used(replay_key):
            raise LoginRefused("logout token was used before")
        ended = 0
        for candidate in self._providers_of_issuer(token.issuer):
            if candidate.settings.client_id == provider.settings.client_id:
                ended += await self._end(candidate, token)
        # Only now: after a failure half-way, the provider may send the token again.
        await context.sessions.one_time.mark_used(
            replay_key, ttl=MAX_AGE_SECONDS + 2 * LEEWAY_SECONDS
        )
        _log.info("signed out by `%s`: %d sessions", provider.name, ended)

    async def front_channel(self, request: LoginRequest) -> LoginResponse:
        """End the provider session in the query, and return an empty page for the frame. Raises
        `BadRequest` when `iss` or `sid` is missing."""
        issuer, session = (
            single_parameter(request.query, "iss"),
            single_parameter(request.query, "sid"),
        )
        if not issuer or not session or len(session) > _MAX_SID_LENGTH:
            raise BadRequest("front-channel logout needs `iss` and `sid`")
        ended = 0
        for provider in self._providers_of_issuer(issuer):
            # Anyone can send this request, so it may only write where there is a session to end.
            ended += await self._context.sessions.end_provider_session(
                provider=provider.name, issuer=issuer, sid=session, only_if_known=True
            )
        _log.info("signed out by a frame of `%.200s`: %d sessions", issuer, ended)
        return LoginResponse(headers=_FRAME, body=b"<!doctype html><title>Signed out</title>")

    async def _verified(self, text: str) -> tuple[OIDCClient, LogoutToken]:
        issuer = unverified_issuer(text)
        refusal = LoginRefused("logout token of an issuer we do not know")
        for provider in self._providers_of_issuer(issuer):
            try:
                return provider, await provider.logout_token(text)
            except LoginRefused as error:
                refusal = error
        raise refusal

    async def _end(self, provider: OIDCClient, token: LogoutToken) -> int:
        sessions = self._context.sessions
        if token.session is not None:
            return await sessions.end_provider_session(
                provider=provider.name, issuer=token.issuer, sid=token.session
            )
        subject = token.subject or ""
        if provider.settings.claims.names.user == "sub":
            return await sessions.end_user(
                provider=provider.name, issuer=token.issuer, subject=subject
            )
        return await sessions.end_user_by_sub(
            provider=provider.name, issuer=token.issuer, sub=subject
        )

    def _providers_of_issuer(self, issuer: str | None) -> tuple[OIDCClient, ...]:
        providers = self._context.providers.values()
        return tuple(provider for provider in providers if provider.settings.issues(issuer))
