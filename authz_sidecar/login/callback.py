"""The callback endpoint: turns the provider's authorization response into a session.

The order is fixed: find the transaction, compare the state, use the transaction up. Only then is
anything sent to the provider.
"""

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
    """The endpoint that receives authorization responses (RFC 6749 section 4.1.2)."""

    def __init__(
        self, context: LoginContext, completion: LoginCompletion, handoff: SessionHandoff
    ) -> None:
        self._context = context
        self._completion = completion
        self._handoff = handoff

    async def respond(self, request: LoginRequest) -> LoginResponse:
        """Complete the login and return to where it began, or show why it failed. The transaction
        is used up in both cases.

        Raises `BadRequest` for a malformed response, and `LoginError` or `TransactionLost` when
        there is no transaction for it.
        """
        context = self._context
        posted = request.method == "POST"
        response = parse_response(request.form if posted else request.query, posted=posted)
        parts = parse_state(response.state)
        transaction = parts and context.transactions.find(
            request.cookies, parts.transaction_id, origin=request.origin
        )
        if not transaction:
            restarted = parts is not None and parts.instance != context.instance
            return await self._completion.transaction_lost(
                request,
                TransactionLost("no cookie holds the transaction of this state"),
                number=1 if parts is None else parts.round,
                hints=(OTHER_INSTANCE,) if restarted else (),
            )
        check_state(response, transaction)
        provider = context.providers.get(transaction.provider or "")
        # From here on the transaction is used up, whatever the result.
        used_up = context.transactions.clear(
            transaction,
            origin=request.origin,
            cross_site=provider is not None and provider.settings.response_mode == "form_post",
        )
        try:
            login_response = await self._complete(request, response, transaction, provider)
        except AuthzError as error:
            if not isinstance(error, LoginError):
                context.recorder.count_sign_in(
                    provider=transaction.provider or "", outcome=_outcome(error)
                )
            _log.warning("sign-in failed: %s", error)
            login_response = error_page(
                self._with_retry(error, transaction, here=request.origin),
                context.pages,
                request_id=request.request_id,
            )
        return login_response.with_cookies(used_up)

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
        response: AuthorizationResponse,
        transaction: LoginTransaction,
        provider: OIDCClient | None,
    ) -> LoginResponse:
        context = self._context
        if not transaction.is_fresh(context.clock()):
            return await self._completion.transaction_lost(
                request, TransactionLost("the transaction is too old"), transaction=transaction
            )
        if transaction.instance != context.instance:
            return await self._completion.transaction_lost(
                request,
                TransactionLost("the transaction was begun by another instance"),
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
            raise LoginRefused("the transaction's identity provider is no longer configured")
        metadata = await provider.metadata()
        code = validate_response(
            response,
            issuer=metadata.issuer,
            requires_iss=context.redirect_uris.requires_iss(
                transaction, provider.settings, metadata
            ),
            requires_form_post=provider.settings.response_mode == "form_post",
        )
        revocations = await context.sessions.recent_revocations(provider.name)
        result = await provider.redeem(
            code=code,
            verifier=transaction.verifier,
            nonce=transaction.nonce,
            redirect_uri=context.redirect_uris.for_transaction(request.origin, transaction),
            posted_user=response.user_json if response.posted else None,
        )
        digest = hashlib.sha256(transaction.state.encode()).hexdigest()
        if not await context.sessions.one_time.mark_used(
            f"state:{digest}", ttl=MAX_AGE_SECONDS + 120
        ):
            raise TransactionLost("the response was used before")
        if transaction.step_up is not None:
            causes = check_step_up(transaction.step_up, result.identity, now=context.clock())
            if causes:
                raise self._not_stepped_up(transaction, provider, causes, here=request.origin)
        login_response = await self._signed_in(
            request, transaction, result, revocations=revocations
        )
        context.recorder.count_sign_in(provider=provider.name, outcome="success")
        return login_response

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
        result: AuthenticationResult,
        *,
        revocations: frozenset[str],
    ) -> LoginResponse:
        context = self._context
        tokens = ProviderTokens(
            id_token=result.id_token,
            access_token=result.access_token,
            refresh_token=result.refresh_token,
            expires_at=result.expires_at,
        )
        _log.info("signed in with `%s` (request %s)", result.identity.provider, request.request_id)
        active = await self._completion.create_session(
            request,
            transaction,
            identity=result.identity,
            tokens=tokens,
            provider_session=result.session,
            revocations_before=revocations,
        )
        if transaction.flow is None:
            return self._completion.complete(request, transaction, active)
        origin, _ = parse_url(transaction.return_to)
        if not context.is_known_origin(origin):
            raise LoginRefused(f"`{origin}` is no longer protected here")
        cookie = context.session_cookie(active.session, active.token, origin=request.origin)
        if transaction.user and not is_same_user(transaction.user, result.identity):
            page = self._completion.other_account(
                request, transaction, active.session, url=context.start_url(transaction.return_to)
            )
            return page.with_cookies(cookie)
        login_response = await self._handoff.send_ticket(
            active, return_to=transaction.return_to, flow=transaction.flow
        )
        return login_response.with_cookies(cookie)


def _outcome(error: AuthzError) -> str:
    """Return the outcome label of the sign-in metric."""
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
