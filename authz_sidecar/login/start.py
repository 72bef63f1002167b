"""The beginning: whether to sign in at all, where, with which provider, and how to come back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.login.error_pages import LoginError
from authz_sidecar.login.existing_session import ExistingSessionCheck
from authz_sidecar.login.http import LoginResponse, redirect, single_parameter
from authz_sidecar.login.login_request import (
    CHOICE_PURPOSE,
    CHOICE_SECONDS,
    HANDOFF_PURPOSE,
    HANDOFF_SECONDS,
    LoginIntent,
    LoginRequestParser,
    seal_intent,
)
from authz_sidecar.login.loop_detection import MAX_ROUNDS
from authz_sidecar.login.redirect_uri import RedirectUriNotReady
from authz_sidecar.login.step_up import authentication_parameters, needs_prompt_login
from authz_sidecar.login.transactions import LoginTransaction, transaction_id

if TYPE_CHECKING:
    from authz_sidecar.login.context import ActiveSession, LoginContext
    from authz_sidecar.login.dependent_hosts import HostChain
    from authz_sidecar.login.handoff import SessionHandoff
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.redirect_uri import CallbackMode


class StartEndpoint:
    def __init__(
        self, context: LoginContext, handover: SessionHandoff, host_chain: HostChain
    ) -> None:
        self._context = context
        self._handover = handover
        self._host_chain = host_chain
        self._asking = LoginRequestParser(context)
        self._sufficing = ExistingSessionCheck(context)

    async def start(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        pairs = (*request.query, *request.form)
        intent = self._asking.open_sealed(request, pairs) or self._asking.parse_query(
            request, pairs
        )
        if single_parameter(pairs, "choice") is not None and not _is_same_origin_navigation(
            request
        ):
            # Others may have got the link from the chooser, and chosen for somebody else.
            sealed = self._choice(request, intent, None)
            return redirect(context.url(request.origin, "choose", choice=sealed))
        if intent.round > MAX_ROUNDS or context.loop_detector.is_looping(
            request.cookies, origin=request.origin, now=context.clock()
        ):
            # On a walk nobody is kept from where they were going.
            return self._skip_host(request, intent) or await context.loop_page(request)
        if intent.flow is None:
            origin, _ = parse_url(intent.return_to)
            if not context.shares_session(origin, request.origin):
                return redirect(self._elsewhere(intent))
        if (
            context.uses_strict_cookies
            and single_parameter(pairs, "again") is None
            and _comes_from_elsewhere(request)
        ):
            return self._same_site_bounce(request)
        return await self._sign_in(request, intent)

    async def choose(self, request: LoginRequest) -> LoginResponse:
        context = self._context
        intent = self._asking.open_sealed(request, request.query)
        if intent is None:
            intent = self._asking.parse_query(request, request.query)
            origin, _ = parse_url(intent.return_to)
            if context.uses_central_host(request.origin) or origin != request.origin:
                return redirect(self._elsewhere(intent))
        providers = context.providers_for(intent.return_to)
        if len(providers) < 2:
            return redirect(self._elsewhere(intent))
        return self._chooser(request, intent, providers)

    def _chooser(
        self, request: LoginRequest, intent: LoginIntent, providers: tuple[str, ...]
    ) -> LoginResponse:
        context = self._context
        options = tuple(
            (
                label,
                context.url(request.origin, "start", choice=self._choice(request, intent, name)),
            )
            for name, label in zip(providers, context.labels(providers), strict=True)
        )
        origin, _ = parse_url(intent.return_to)
        return context.page(context.pages.choose_provider(options=options, host=origin.authority))

    def _elsewhere(self, intent: LoginIntent) -> str:
        """The `start` of the host that the return address is on."""
        origin, _ = parse_url(intent.return_to)
        return self._context.url(
            origin,
            "start",
            rd=intent.return_to,
            attempt=str(intent.round) if intent.round > 1 else None,
            switch="1" if intent.switch else None,
            login_hint=intent.login_hint,
            iss=intent.issuer,
            **({"for": intent.asked} if intent.asked else {}),
        )

    def _same_site_bounce(self, request: LoginRequest) -> LoginResponse:
        """A strict cookie stays at home when another site sends the browser; a page of our own that
        goes on by itself makes the next request one of ours."""
        parameters = dict((*request.query, *request.form)) | {"again": "1"}
        url = self._context.url(request.origin, "start", **parameters)
        return self._context.page(self._context.pages.continue_to(url=url))

    async def _sign_in(self, request: LoginRequest, intent: LoginIntent) -> LoginResponse:
        context = self._context
        providers = self._allowed(intent)
        if not intent.switch and intent.flow is None and intent.step_up is None:
            intent = await self._sufficing.with_requirement(request, intent, providers)
            providers = self._allowed(intent)
        found = None
        if not intent.switch:
            named = self._named(intent, providers)
            found = await self._sufficing.satisfying_session(request, intent, named)
        if found is not None and intent.flow is not None:
            return await self._handover.send_ticket(
                found, return_to=intent.return_to, flow=intent.flow
            )
        if found is not None:
            return self._resume(request, intent, found)
        if context.uses_central_host(request.origin):
            return await self._to_central_host(request, intent)
        if len(providers) > 1 and intent.issuer is not None:
            # What a third party begins goes no further by itself.
            return self._chooser(request, intent, providers)
        if len(providers) > 1:
            sealed = self._choice(request, intent, None)
            return redirect(context.url(request.origin, "choose", choice=sealed))
        return await self._to_provider(request, intent, providers[0])

    def _resume(
        self, request: LoginRequest, intent: LoginIntent, found: ActiveSession
    ) -> LoginResponse:
        """On to where somebody was going who is signed in as it takes."""
        context, provider = self._context, found.session.identity.provider
        if intent.walk:
            url = self._host_chain.next_step(intent.walk, provider=provider, current=request.origin)
        else:
            url = self._host_chain.first_step(intent.return_to, provider=provider)
        if intent.walk and not intent.asked:
            return redirect(url)  # a step of our own, which comes once
        round_ = context.loop_detector.count_round(
            request.cookies, origin=request.origin, now=context.clock()
        )
        return redirect(url).with_cookies(round_)

    def _skip_host(self, request: LoginRequest, intent: LoginIntent) -> LoginResponse | None:
        """On a walk: the next step, without a sign-in on this host."""
        if not intent.walk or intent.provider is None:
            return None
        return redirect(
            self._host_chain.next_step(
                intent.walk, provider=intent.provider, current=request.origin
            )
        )

    def _allowed(self, intent: LoginIntent) -> tuple[str, ...]:
        """The providers of the route, or the one of them that was chosen. Which issuer was asked for
        narrows nothing: a link of a third party does not choose for the visitor."""
        providers = self._context.providers_for(intent.return_to)
        if intent.provider is not None:
            providers = tuple(name for name in providers if name == intent.provider)
        if not self._named(intent, providers):
            raise LoginRefused(
                f"no identity provider for `{intent.return_to.partition('?')[0]:.200}`",
                public_message="No identity provider is set up for this address.",
            )
        return providers

    def _named(self, intent: LoginIntent, providers: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the issuer that was asked for, until one was chosen."""
        if intent.issuer is None or intent.provider is not None:
            return providers
        settings = {name: self._context.providers[name].settings for name in providers}
        return tuple(name for name in providers if settings[name].issuer == intent.issuer)

    async def _to_central_host(self, request: LoginRequest, intent: LoginIntent) -> LoginResponse:
        context, central = self._context, self._context.auth_host
        assert central is not None  # noqa: S101  # `uses_central_host`
        if context.shares_session(request.origin, central):
            url = self._elsewhere(intent)
            return redirect(f"{central}{url.removeprefix(str(parse_url(url)[0]))}")
        there = await context.active_session(request, self._named(intent, self._allowed(intent)))
        transaction = self._transaction(intent, provider=None, there=there)
        sealed = seal_intent(
            # Where the walk goes on is the business of the host that it came to.
            replace(intent, flow=transaction.flow_hash, walk=()),
            context.keys,
            purpose=HANDOFF_PURPOSE,
            origin=central,
            expires_at=context.clock() + HANDOFF_SECONDS,
        )
        cookies = context.transactions.keep(
            transaction, request.cookies, origin=request.origin, cross_site=False
        )
        return redirect(context.url(central, "start", request=sealed)).with_cookies(*cookies)

    async def _to_provider(
        self, request: LoginRequest, intent: LoginIntent, provider_name: str
    ) -> LoginResponse:
        context = self._context
        provider = context.providers[provider_name]
        there = await context.active_session(request, (provider_name,))
        transaction = self._transaction(
            intent,
            provider=provider_name,
            there=there,
            callback=provider.settings.callback or "own",
        )
        extra = {"login_hint": intent.login_hint} if intent.login_hint else {}
        extra |= {"prompt": "login"} if intent.switch else {}
        if intent.step_up is not None:
            insist = needs_prompt_login(intent.step_up, round_number=intent.round)
            extra |= authentication_parameters(intent.step_up, prompt_login=insist)
        elif intent.wish is not None:
            extra |= authentication_parameters(intent.wish, prompt_login=False)
        try:
            uris, settings = context.redirect_uris, provider.settings
            uris.check_registration(settings, origin=request.origin)
            uris.check_iss_support(settings, await provider.metadata(), origin=request.origin)
            url = await provider.authorization_url(
                state=transaction.state,
                nonce=transaction.nonce,
                verifier=transaction.verifier,
                redirect_uri=uris.for_transaction(request.origin, transaction),
                extra=extra,
            )
        except (ProviderUnavailable, RedirectUriNotReady) as error:
            if (onward := self._skip_host(request, intent)) is not None:
                return onward
            retry = context.start_url(intent.return_to)
            raise LoginError(error, retry=retry, provider=provider.label) from error
        cookies = context.transactions.keep(
            transaction,
            request.cookies,
            origin=request.origin,
            cross_site=provider.settings.response_mode == "form_post",
        )
        return redirect(url).with_cookies(*cookies)

    def _transaction(
        self,
        intent: LoginIntent,
        *,
        provider: str | None,
        there: ActiveSession | None,
        callback: CallbackMode | None = None,
    ) -> LoginTransaction:
        context, now = self._context, self._context.clock()
        return LoginTransaction(
            id=transaction_id(now, context.random(6)),
            secret=context.random(32),
            return_to=intent.return_to,
            started_at=now,
            provider=provider,
            flow=intent.flow,
            shortened=intent.shortened,
            round=intent.round,
            instance=context.instance,
            step_up=intent.step_up,
            user=intent.user,
            walk=intent.walk,
            previous_session="" if there is None else there.session.public_id,
            callback=callback,
        )

    def _choice(self, request: LoginRequest, intent: LoginIntent, provider: str | None) -> str:
        context = self._context
        return seal_intent(
            replace(intent, provider=provider),
            context.keys,
            purpose=CHOICE_PURPOSE,
            origin=request.origin,
            expires_at=context.clock() + CHOICE_SECONDS,
        )


def _is_same_origin_navigation(request: LoginRequest) -> bool:
    """As far as the browser says where a navigation comes from; all do that know Fetch Metadata."""
    return all(site == "same-origin" for site in request.header_lines("sec-fetch-site"))


def _comes_from_elsewhere(request: LoginRequest) -> bool:
    return request.header("sec-fetch-site") not in {"same-origin", "none"}
