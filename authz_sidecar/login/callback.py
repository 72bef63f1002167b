"""The callback: from the provider's answer to a session. State before I/O, always in this order:
the attempt is found, compared and used up; only then is anything sent to the provider."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import (
    AuthzError,
    LoginRefused,
    ProviderUnavailable,
    StoreUnavailable,
    TransactionLost,
)
from authz_sidecar.login.authorization_response import (
    AuthorizationResponse,
    check_state,
    parse_response,
    validate_response,
)
from authz_sidecar.login.error_pages import OTHER_INSTANCE, UPDATED, LoginError, error_page
from authz_sidecar.login.redirect_uri import TransactionPredatesUpdate
from authz_sidecar.login.step_up import StepUpNotSatisfied, check_step_up, is_same_user
from authz_sidecar.login.transactions import MAX_AGE_SECONDS, parse_state
from authz_sidecar.sessions.records import ProviderTokens

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.completion import LoginCompletion
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.handoff import SessionHandoff
    from authz_sidecar.login.http import LoginRequest, LoginResponse
    from authz_sidecar.login.providers import AuthenticationResult, OIDCClient
    from authz_sidecar.login.transactions import LoginTransaction

_log = logging.getLogger(__name__)


class CallbackEndpoint:
    def __init__(
        self, desk: LoginContext, landing: LoginCompletion, handover: SessionHandoff
    ) -> None:
        self._desk = desk
        self._landing = landing
        self._handover = handover

    async def respond(self, request: LoginRequest) -> LoginResponse:
        desk = self._desk
        posted = request.method == "POST"
        answer = parse_response(request.form if posted else request.query, posted=posted)
        parts = parse_state(answer.state)
        attempt = parts and desk.transactions.find(
            request.cookies, parts.attempt, origin=request.origin
        )
        if not attempt:
            restarted = parts is not None and parts.instance != desk.instance
            return await self._landing.transaction_lost(
                request,
                TransactionLost("no cookie holds the attempt of this state"),
                number=1 if parts is None else parts.round,
                hints=(OTHER_INSTANCE,) if restarted else (),
            )
        check_state(answer, attempt)
        provider = desk.providers.get(attempt.provider or "")
        # From here on the attempt is used up, whatever becomes of it.
        used_up = desk.transactions.clear(
            attempt,
            origin=request.origin,
            cross_site=provider is not None and provider.settings.response_mode == "form_post",
        )
        try:
            reply = await self._complete(request, answer, attempt, provider)
        except AuthzError as error:
            if not isinstance(error, LoginError):
                desk.recorder.count_sign_in(
                    provider=attempt.provider or "", outcome=_outcome(error)
                )
            _log.warning("sign-in failed: %s", error)
            reply = error_page(
                self._with_retry(error, attempt, here=request.origin),
                desk.pages,
                request_id=request.request_id,
            )
        return reply.with_cookies(used_up)

    def _with_retry(
        self, error: AuthzError, attempt: LoginTransaction, *, here: Origin
    ) -> AuthzError:
        if isinstance(error, LoginError):
            return error
        provider = self._desk.providers.get(attempt.provider or "")
        return LoginError(
            error,
            retry=self._desk.restart_url(attempt, here=here),
            provider=None if provider is None else provider.label,
        )

    async def _complete(
        self,
        request: LoginRequest,
        answer: AuthorizationResponse,
        attempt: LoginTransaction,
        provider: OIDCClient | None,
    ) -> LoginResponse:
        desk = self._desk
        if not attempt.is_fresh(desk.clock()):
            return await self._landing.transaction_lost(
                request, TransactionLost("the attempt is too old"), attempt=attempt
            )
        if attempt.instance != desk.instance:
            return await self._landing.transaction_lost(
                request,
                TransactionLost("the attempt was begun with another instance"),
                attempt=attempt,
                hints=(OTHER_INSTANCE,),
            )
        try:
            desk.redirect_uris.check_response_path(attempt, path=request.path)
        except TransactionPredatesUpdate as error:
            return await self._landing.transaction_lost(
                request, error, attempt=attempt, hints=(UPDATED,)
            )
        if provider is None:
            raise LoginRefused("the attempt's identity provider is no longer configured")
        metadata = await provider.metadata()
        code = validate_response(
            answer,
            issuer=metadata.issuer,
            requires_iss=desk.redirect_uris.requires_iss(attempt, provider.settings, metadata),
            requires_form_post=provider.settings.response_mode == "form_post",
        )
        since = await desk.sessions.recent_revocations(provider.name)
        signed_in = await provider.redeem(
            code=code,
            verifier=attempt.verifier,
            nonce=attempt.nonce,
            redirect_uri=desk.redirect_uris.for_transaction(request.origin, attempt),
            posted_user=answer.user_json if answer.posted else None,
        )
        digest = hashlib.sha256(attempt.state.encode()).hexdigest()
        if not await desk.sessions.one_time.mark_used(f"state:{digest}", ttl=MAX_AGE_SECONDS + 120):
            raise TransactionLost("the answer was used before")
        if attempt.step_up is not None:
            causes = check_step_up(attempt.step_up, signed_in.identity, now=desk.clock())
            if causes:
                raise self._not_stepped_up(attempt, provider, causes, here=request.origin)
        reply = await self._signed_in(request, attempt, signed_in, since=since)
        desk.recorder.count_sign_in(provider=provider.name, outcome="success")
        return reply

    def _not_stepped_up(
        self,
        attempt: LoginTransaction,
        provider: OIDCClient,
        causes: tuple[str, ...],
        *,
        here: Origin,
    ) -> LoginError:
        self._desk.recorder.count_sign_in(provider=provider.name, outcome="refused")
        error = StepUpNotSatisfied(
            f"`{provider.name}` did not step up as asked: {' '.join(causes)}"
        )
        return LoginError(
            error,
            retry=self._desk.restart_url(attempt, here=here),
            provider=provider.name,
            hints=causes,
        )

    async def _signed_in(
        self,
        request: LoginRequest,
        attempt: LoginTransaction,
        signed_in: AuthenticationResult,
        *,
        since: frozenset[str],
    ) -> LoginResponse:
        desk = self._desk
        tokens = ProviderTokens(
            id_token=signed_in.id_token,
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_at=signed_in.expires_at,
        )
        _log.info(
            "signed in with `%s` (request %s)", signed_in.identity.provider, request.request_id
        )
        found = await self._landing.create_session(
            request,
            attempt,
            identity=signed_in.identity,
            tokens=tokens,
            provider_session=signed_in.session,
            revocations_before=since,
        )
        if attempt.flow is None:
            return self._landing.complete(request, attempt, found)
        origin, _ = parse_url(attempt.return_to)
        if not desk.is_known_origin(origin):
            raise LoginRefused(f"`{origin}` is no longer protected here")
        cookie = desk.session_cookie(found.session, found.token, origin=request.origin)
        if attempt.user and not is_same_user(attempt.user, signed_in.identity):
            page = self._landing.other_account(
                request, attempt, found.session, url=desk.start_url(attempt.return_to)
            )
            return page.with_cookies(cookie)
        reply = await self._handover.send_ticket(
            found, return_to=attempt.return_to, flow=attempt.flow
        )
        return reply.with_cookies(cookie)


def _outcome(error: AuthzError) -> str:
    """How a sign-in ended, in a word for metrics."""
    match error:
        case TransactionLost():
            return "lost"
        case LoginRefused():
            return "refused"
        case ProviderUnavailable():
            return "provider-unavailable"
        case StoreUnavailable():
            return "store-unavailable"
        case _:
            return "error"
