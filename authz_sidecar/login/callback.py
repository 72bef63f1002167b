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
        self, context: LoginContext, completion: LoginCompletion, handover: SessionHandoff
    ) -> None:
        self._context = context
        self._completion = completion
        self._handover = handover

    async def respond(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        posted = request.method == "POST"
        answer = parse_response(request.form if posted else request.query, posted=posted)
        parts = parse_state(answer.state)
        transaction = parts and context.transactions.find(
            request.cookies, parts.transaction_id, origin=request.origin
        )
        if not transaction:
            restarted = parts is not None and parts.instance != context.instance
            return await self._completion.transaction_lost(
                request,
                TransactionLost("no cookie holds the attempt of this state"),
                number=1 if parts is None else parts.round,
                hints=(OTHER_INSTANCE,) if restarted else (),
            )
        check_state(answer, transaction)
        provider = context.providers.get(transaction.provider or "")
        # From here on the attempt is used up, whatever becomes of it.
        used_up = context.transactions.clear(
            transaction,
            origin=request.origin,
            cross_site=provider is not None and provider.settings.response_mode == "form_post",
        )
        try:
            reply = await self._complete(request, answer, transaction, provider)
        except AuthzError as error:
            if not isinstance(error, LoginError):
                context.recorder.count_sign_in(
                    provider=transaction.provider or "", outcome=_outcome(error)
                )
            _log.warning("sign-in failed: %s", error)
            reply = error_page(
                self._with_retry(error, transaction, here=request.origin),
                context.pages,
                request_id=request.request_id,
            )
        return reply.with_cookies(used_up)

    def _with_retry(
        self, error: AuthzError, transaction: LoginTransaction, *, here: Origin
    ) -> AuthzError:
        if isinstance(error, LoginError):
            return error
        provider = self._context.providers.get(transaction.provider or "")
        return LoginError(
            error,
            retry=self._context.restart_url(transaction, here=here),
            provider=None if provider is None else provider.label,
        )

    async def _complete(
        self,
        request: LoginRequest,
        answer: AuthorizationResponse,
        transaction: LoginTransaction,
        provider: OIDCClient | None,
    ) -> LoginResponse:
        context = self._context
        if not transaction.is_fresh(context.clock()):
            return await self._completion.transaction_lost(
                request, TransactionLost("the attempt is too old"), transaction=transaction
            )
        if transaction.instance != context.instance:
            return await self._completion.transaction_lost(
                request,
                TransactionLost("the attempt was begun with another instance"),
                transaction=transaction,
                hints=(OTHER_INSTANCE,),
            )
        try:
            context.redirect_uris.check_response_path(transaction, path=request.path)
        except TransactionPredatesUpdate as error:
            return await self._completion.transaction_lost(
                request, error, transaction=transaction, hints=(UPDATED,)
            )
        if provider is None:
            raise LoginRefused("the attempt's identity provider is no longer configured")
        metadata = await provider.metadata()
        code = validate_response(
            answer,
            issuer=metadata.issuer,
            requires_iss=context.redirect_uris.requires_iss(
                transaction, provider.settings, metadata
            ),
            requires_form_post=provider.settings.response_mode == "form_post",
        )
        since = await context.sessions.recent_revocations(provider.name)
        signed_in = await provider.redeem(
            code=code,
            verifier=transaction.verifier,
            nonce=transaction.nonce,
            redirect_uri=context.redirect_uris.for_transaction(request.origin, transaction),
            posted_user=answer.user_json if answer.posted else None,
        )
        digest = hashlib.sha256(transaction.state.encode()).hexdigest()
        if not await context.sessions.one_time.mark_used(
            f"state:{digest}", ttl=MAX_AGE_SECONDS + 120
        ):
            raise TransactionLost("the answer was used before")
        if transaction.step_up is not None:
            causes = check_step_up(transaction.step_up, signed_in.identity, now=context.clock())
            if causes:
                raise self._not_stepped_up(transaction, provider, causes, here=request.origin)
        reply = await self._signed_in(request, transaction, signed_in, since=since)
        context.recorder.count_sign_in(provider=provider.name, outcome="success")
        return reply

    def _not_stepped_up(
        self,
        transaction: LoginTransaction,
        provider: OIDCClient,
        causes: tuple[str, ...],
        *,
        here: Origin,
    ) -> LoginError:
        self._context.recorder.count_sign_in(provider=provider.name, outcome="refused")
        error = StepUpNotSatisfied(
            f"`{provider.name}` did not step up as asked: {' '.join(causes)}"
        )
        return LoginError(
            error,
            retry=self._context.restart_url(transaction, here=here),
            provider=provider.name,
            hints=causes,
        )

    async def _signed_in(
        self,
        request: LoginRequest,
        transaction: LoginTransaction,
        signed_in: AuthenticationResult,
        *,
        since: frozenset[str],
    ) -> LoginResponse:
        context = self._context
        tokens = ProviderTokens(
            id_token=signed_in.id_token,
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_at=signed_in.expires_at,
        )
        _log.info(
            "signed in with `%s` (request %s)", signed_in.identity.provider, request.request_id
        )
        found = await self._completion.create_session(
            request,
            transaction,
            identity=signed_in.identity,
            tokens=tokens,
            provider_session=signed_in.session,
            revocations_before=since,
        )
        if transaction.flow is None:
            return self._completion.complete(request, transaction, found)
        origin, _ = parse_url(transaction.return_to)
        if not context.is_known_origin(origin):
            raise LoginRefused(f"`{origin}` is no longer protected here")
        cookie = context.session_cookie(found.session, found.token, origin=request.origin)
        if transaction.user and not is_same_user(transaction.user, signed_in.identity):
            page = self._completion.other_account(
                request, transaction, found.session, url=context.start_url(transaction.return_to)
            )
            return page.with_cookies(cookie)
        reply = await self._handover.send_ticket(
            found, return_to=transaction.return_to, flow=transaction.flow
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
