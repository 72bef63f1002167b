"""The callback: from the provider's answer to a session. State before I/O, always in this order:
the attempt is found, compared and used up; only then is anything sent to the provider."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import (
    AttemptLost,
    AuthzError,
    LoginRefused,
    ProviderUnavailable,
    StoreUnavailable,
)
from authz_sidecar.login.authorization_response import (
    Answer,
    check_state,
    code_of,
    read_answer,
)
from authz_sidecar.login.error_pages import OTHER_INSTANCE, UPDATED, Interrupted, trouble_page
from authz_sidecar.login.redirect_uri import BegunBeforeUpdate
from authz_sidecar.login.step_up import NotSteppedUp, check_step_up, is_same_user
from authz_sidecar.login.transactions import LIFETIME_SECONDS, read_state
from authz_sidecar.sessions.records import ProviderTokens

if TYPE_CHECKING:
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.completion import Landing
    from authz_sidecar.login.context import Desk
    from authz_sidecar.login.handoff import HandOver
    from authz_sidecar.login.http import LoginReply, LoginRequest
    from authz_sidecar.login.providers import Provider, SignedIn
    from authz_sidecar.login.transactions import Attempt

_log = logging.getLogger(__name__)


class Returning:
    def __init__(self, desk: Desk, landing: Landing, handover: HandOver) -> None:
        self._desk = desk
        self._landing = landing
        self._handover = handover

    async def callback(self, request: LoginRequest) -> LoginReply:
        desk = self._desk
        posted = request.method == "POST"
        answer = read_answer(request.form if posted else request.query, posted=posted)
        parts = read_state(answer.state)
        attempt = parts and desk.attempts.find(
            request.cookies, parts.attempt, origin=request.origin
        )
        if not attempt:
            restarted = parts is not None and parts.instance != desk.instance
            return await self._landing.lost(
                request,
                AttemptLost("no cookie holds the attempt of this state"),
                number=1 if parts is None else parts.round,
                hints=(OTHER_INSTANCE,) if restarted else (),
            )
        check_state(answer, attempt)
        provider = desk.providers.get(attempt.provider or "")
        # From here on the attempt is used up, whatever becomes of it.
        used_up = desk.attempts.clear(
            attempt,
            origin=request.origin,
            cross_site=provider is not None and provider.settings.response_mode == "form_post",
        )
        try:
            reply = await self._complete(request, answer, attempt, provider)
        except AuthzError as error:
            if not isinstance(error, Interrupted):
                desk.recorder.sign_in(provider=attempt.provider or "", outcome=_outcome(error))
            _log.warning("sign-in failed: %s", error)
            reply = trouble_page(
                self._with_retry(error, attempt, here=request.origin),
                desk.pages,
                request_id=request.request_id,
            )
        return reply.with_cookies(used_up)

    def _with_retry(self, error: AuthzError, attempt: Attempt, *, here: Origin) -> AuthzError:
        if isinstance(error, Interrupted):
            return error
        provider = self._desk.providers.get(attempt.provider or "")
        return Interrupted(
            error,
            retry=self._desk.again(attempt, here=here),
            provider=None if provider is None else provider.label,
        )

    async def _complete(
        self, request: LoginRequest, answer: Answer, attempt: Attempt, provider: Provider | None
    ) -> LoginReply:
        desk = self._desk
        if not attempt.is_fresh(desk.clock()):
            return await self._landing.lost(
                request, AttemptLost("the attempt is too old"), attempt=attempt
            )
        if attempt.instance != desk.instance:
            return await self._landing.lost(
                request,
                AttemptLost("the attempt was begun with another instance"),
                attempt=attempt,
                hints=(OTHER_INSTANCE,),
            )
        try:
            desk.redirect_uris.check_arrival(attempt, path=request.path)
        except BegunBeforeUpdate as error:
            return await self._landing.lost(request, error, attempt=attempt, hints=(UPDATED,))
        if provider is None:
            raise LoginRefused("the attempt's identity provider is no longer configured")
        metadata = await provider.metadata()
        code = code_of(
            answer,
            issuer=metadata.issuer,
            requires_iss=desk.redirect_uris.requires_iss(attempt, provider.settings, metadata),
            by_post=provider.settings.response_mode == "form_post",
        )
        since = await desk.sessions.revocations(provider.name)
        signed_in = await provider.redeem(
            code=code,
            verifier=attempt.verifier,
            nonce=attempt.nonce,
            redirect_uri=desk.redirect_uris.uri(request.origin, attempt),
            posted_user=answer.user if answer.posted else None,
        )
        digest = hashlib.sha256(attempt.state.encode()).hexdigest()
        if not await desk.sessions.notes.remember_once(
            f"state:{digest}", ttl=LIFETIME_SECONDS + 120
        ):
            raise AttemptLost("the answer was used before")
        if attempt.step_up is not None:
            causes = check_step_up(attempt.step_up, signed_in.identity, now=desk.clock())
            if causes:
                raise self._not_stepped_up(attempt, provider, causes, here=request.origin)
        reply = await self._signed_in(request, attempt, signed_in, since=since)
        desk.recorder.sign_in(provider=provider.name, outcome="success")
        return reply

    def _not_stepped_up(
        self, attempt: Attempt, provider: Provider, causes: tuple[str, ...], *, here: Origin
    ) -> Interrupted:
        self._desk.recorder.sign_in(provider=provider.name, outcome="refused")
        error = NotSteppedUp(f"`{provider.name}` did not step up as asked: {' '.join(causes)}")
        return Interrupted(
            error, retry=self._desk.again(attempt, here=here), provider=provider.name, hints=causes
        )

    async def _signed_in(
        self,
        request: LoginRequest,
        attempt: Attempt,
        signed_in: SignedIn,
        *,
        since: frozenset[str],
    ) -> LoginReply:
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
        found = await self._landing.new_session(
            request,
            attempt,
            identity=signed_in.identity,
            tokens=tokens,
            provider_session=signed_in.session,
            since=since,
        )
        if attempt.flow is None:
            return self._landing.land(request, attempt, found)
        origin, _ = parse_url(attempt.return_to)
        if not desk.knows(origin):
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
        case AttemptLost():
            return "lost"
        case LoginRefused():
            return "refused"
        case ProviderUnavailable():
            return "provider-unavailable"
        case StoreUnavailable():
            return "store-unavailable"
        case _:
            return "error"
