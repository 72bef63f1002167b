"""The completion of a login: a session with a new id, its cookie, and the redirect to where the
user was going.

Also the two other ends: another account than before, and a lost transaction.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import parse_url
from authz_sidecar.login.context import ActiveSession
from authz_sidecar.login.error_pages import COOKIES_REFUSED, LoginError
from authz_sidecar.login.http import LoginResponse, redirect
from authz_sidecar.login.step_up import is_same_user

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.errors import TransactionLost
    from authz_sidecar.login.context import LoginContext
    from authz_sidecar.login.dependent_hosts import HostChain
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.transactions import LoginTransaction
    from authz_sidecar.sessions.records import ProviderTokens

_log = logging.getLogger(__name__)


class LoginCompletion:
    """Creates sessions and returns users to where the login began."""

    def __init__(self, context: LoginContext, host_chain: HostChain) -> None:
        self._context = context
        self._host_chain = host_chain

    async def create_session(
        self,
        request: LoginRequest,
        transaction: LoginTransaction,
        *,
        identity: Identity,
        tokens: ProviderTokens | None,
        provider_session: str | None = None,
        parent: Session | None = None,
        revocations_before: frozenset[str] | None = None,
        parent_token: str | None = None,
    ) -> ActiveSession:
        """Return a new session with a new secret. The previous session of this browser ends, also
        when its cookie was not sent (`SameSite=Strict`). Raises `RateLimited`.

        `revocations_before`: the revocations that were known before the provider was asked.
        `parent`, `parent_token`: the session on the central host, for a child session.
        """
        context = self._context
        await context.admit_account(identity, endpoint="sign-in")
        previous = await context.active_session(request, (identity.provider,))
        token, session = await context.sessions.create(
            identity=identity,
            scope=context.cookies.scope_for(request.origin),
            provider_session=provider_session,
            tokens=tokens,
            client="" if request.client is None else str(request.client),
            user_agent=request.user_agent,
            parent=parent,
            revocations_before=revocations_before,
            parent_token=parent_token,
        )
        if previous is not None:
            await context.sessions.end(previous.session)
        elif transaction.previous_session and (
            old := await context.sessions.find_summary(transaction.previous_session)
        ):
            await context.sessions.end_listed(old)
        _log.info(
            "signed in on `%s` with `%s`: session `%s`",
            request.origin,
            identity.provider,
            session.public_id,
        )
        return ActiveSession(token=token, session=session)

    def complete(
        self, request: LoginRequest, transaction: LoginTransaction, active: ActiveSession
    ) -> LoginResponse:
        """Set the cookie of a session on this host and return to where the login began."""
        context = self._context
        rounds = context.loop_detector.count_round(
            request.cookies, origin=request.origin, now=context.clock()
        )
        cookie = context.session_cookie(active.session, active.token, origin=request.origin)
        return self._return_response(request, transaction, active.session).with_cookies(
            cookie, rounds
        )

    def _return_response(
        self, request: LoginRequest, transaction: LoginTransaction, session: Session
    ) -> LoginResponse:
        context, provider = self._context, session.identity.provider
        if transaction.walk:
            url = self._host_chain.next_step(
                transaction.walk, provider=provider, current=request.origin
            )
        else:
            back = context.revalidate_return_url(transaction.return_to, origin=request.origin)
            url = self._host_chain.first_step(back, provider=provider)
        if transaction.user and not is_same_user(transaction.user, session.identity):
            return self.other_account(request, transaction, session, url=url)
        if transaction.shortened:
            html = context.pages.error(
                title="You are signed in",
                message="The address you came from was too long to keep whole. Its beginning is"
                " kept; if something is missing there, go back and follow the link again.",
                request_id=request.request_id,
                retry_url=url,
            )
            return context.page(html)
        if context.uses_strict_cookies or url != context.revalidate_return_url(
            transaction.return_to, origin=request.origin
        ):
            # A request that follows a redirect from the provider is still cross-site, so browsers do
            # not send a strict cookie. In a host chain, a page at every host starts a new series of
            # redirects, of which browsers follow about 20.
            return context.page(context.pages.continue_to(url=url))
        return redirect(url)

    def other_account(
        self, request: LoginRequest, transaction: LoginTransaction, session: Session, *, url: str
    ) -> LoginResponse:
        """Return the page that asks before going on, when another user than before has completed a
        step-up."""
        context = self._context
        html = context.pages.other_account(
            identity=session.identity,
            continue_url=url,
            back_url=f"{context.start_url(transaction.return_to)}&switch=1",
            request_id=request.request_id,
        )
        return context.page(html)

    async def transaction_lost(
        self,
        request: LoginRequest,
        error: TransactionLost,
        *,
        transaction: LoginTransaction | None = None,
        number: int = 1,
        hints: tuple[str, ...] = (),
    ) -> LoginResponse:
        """Redirect a user who has a session to the default URL: most used the back button. Raises
        `LoginError` for everyone else.

        `number`: which attempt this was, where there is no transaction.
        """
        context = self._context
        if await context.active_session(request, tuple(context.providers)) is not None:
            return redirect(context.default_url(request.origin))
        context.recorder.count_sign_in(
            provider=(transaction and transaction.provider) or "", outcome="lost"
        )
        return_to, number = (
            (context.default_url(request.origin), number)
            if transaction is None
            else (transaction.return_to, transaction.round)
        )
        origin, _ = parse_url(return_to)
        return_to = context.revalidate_return_url(return_to, origin=origin)
        if not request.cookies:
            hints = (*hints, COOKIES_REFUSED)
        raise LoginError(
            error, retry=context.start_url(return_to, round_number=number + 1), hints=hints
        ) from error
