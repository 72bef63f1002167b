"""The start endpoint: whether to log in at all, on which host, with which provider, and where to
return to."""

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
    """The endpoints `start` and `choose`."""

    def __init__(
        self, context: LoginContext, handoff: SessionHandoff, host_chain: HostChain
    ) -> None:
        self._context = context
        self._handoff = handoff
        self._host_chain = host_chain
        self._parser = LoginRequestParser(context)
        self._existing_session = ExistingSessionCheck(context)

    async def start(self, request: LoginRequest) -> LoginResponse:
        """Begin a login: redirect to the return URL, the central host, the provider or the provider
        chooser.

        Raises `BadRequest`, `BadReturnUrl`, `LoginError`, and `LoginRefused` when no provider is
        configured.
        """
        context = self._context
        pairs = (*request.query, *request.form)
        intent = self._parser.open_sealed(request, pairs) or self._parser.parse_query(
            request, pairs
        )
        if single_parameter(pairs, "choice") is not None and not _is_same_origin_navigation(
            request
        ):
            # A link copied from the chooser could choose the provider for another user.
            sealed = self._choice(request, intent, None)
            return redirect(context.url(request.origin, "choose", choice=sealed))
        if intent.round > MAX_ROUNDS or context.loop_detector.is_looping(
            request.cookies, origin=request.origin, now=context.clock()
        ):
            # Within a host chain the user still reaches the last URL.
            return self._skip_host(request, intent) or await context.loop_page(request)
        if intent.flow is None:
            origin, _ = parse_url(intent.return_to)
            if not context.shares_session(origin, request.origin):
                return redirect(self._start_url_elsewhere(intent))
        if (
            context.uses_strict_cookies
            and single_parameter(pairs, "again") is None
            and _comes_from_elsewhere(request)
        ):
            return self._same_site_bounce(request)
        return await self._sign_in(request, intent)

    async def choose(self, request: LoginRequest) -> LoginResponse:
        """Return the page that lets the user choose a provider. Raises `BadRequest`, `BadReturnUrl`
        and `LoginError`."""
        context = self._context
        intent = self._parser.open_sealed(request, request.query)
        if intent is None:
            intent = self._parser.parse_query(request, request.query)
            origin, _ = parse_url(intent.return_to)
            if context.uses_central_host(request.origin) or origin != request.origin:
                return redirect(self._start_url_elsewhere(intent))
        providers = context.providers_for(intent.return_to)
        if len(providers) < 2:
            return redirect(self._start_url_elsewhere(intent))
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

    def _start_url_elsewhere(self, intent: LoginIntent) -> str:
        """Return the `start` URL on the host of the return URL."""
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
        """Return a page that repeats the request by itself: browsers do not send strict cookies on a
        navigation from another site, but they do from this page."""
        parameters = dict((*request.query, *request.form)) | {"again": "1"}
        url = self._context.url(request.origin, "start", **parameters)
        return self._context.page(self._context.pages.continue_to(url=url))

    async def _sign_in(self, request: LoginRequest, intent: LoginIntent) -> LoginResponse:
        context = self._context
        providers = self._allowed_providers(intent)
        if not intent.switch and intent.flow is None and intent.step_up is None:
            intent = await self._existing_session.with_requirement(request, intent, providers)
            providers = self._allowed_providers(intent)
        active = None
        if not intent.switch:
            candidates = self._providers_of_issuer(intent, providers)
            active = await self._existing_session.satisfying_session(request, intent, candidates)
        if active is not None and intent.flow is not None:
            return await self._handoff.send_ticket(
                active, return_to=intent.return_to, flow=intent.flow
            )
        if active is not None:
            return self._resume(request, intent, active)
        if context.uses_central_host(request.origin):
            return await self._to_central_host(request, intent)
        if len(providers) > 1 and intent.issuer is not None:
            # A login that a third party began (OpenID Connect Core, 4) needs the user's click.
            return self._chooser(request, intent, providers)
        if len(providers) > 1:
            sealed = self._choice(request, intent, None)
            return redirect(context.url(request.origin, "choose", choice=sealed))
        return await self._to_provider(request, intent, providers[0])

    def _resume(
        self, request: LoginRequest, intent: LoginIntent, active: ActiveSession
    ) -> LoginResponse:
        """Continue to the return URL with a session that satisfies it."""
        context, provider = self._context, active.session.identity.provider
        if intent.walk:
            url = self._host_chain.next_step(intent.walk, provider=provider, current=request.origin)
        else:
            url = self._host_chain.first_step(intent.return_to, provider=provider)
        if intent.walk and not intent.asked:
            return redirect(url)  # a step of a host chain, which occurs only once
        rounds_cookie = context.loop_detector.count_round(
            request.cookies, origin=request.origin, now=context.clock()
        )
        return redirect(url).with_cookies(rounds_cookie)

    def _skip_host(self, request: LoginRequest, intent: LoginIntent) -> LoginResponse | None:
        """Return the redirect to the next step of a host chain, without a login on this host; None
        outside of a chain."""
        if not intent.walk or intent.provider is None:
            return None
        return redirect(
            self._host_chain.next_step(
                intent.walk, provider=intent.provider, current=request.origin
            )
        )

    def _allowed_providers(self, intent: LoginIntent) -> tuple[str, ...]:
        """Return the route's providers, or the chosen one of them. Raises `LoginRefused` when none
        is left. `iss` does not narrow them: a third party's link must not choose for the user."""
        providers = self._context.providers_for(intent.return_to)
        if intent.provider is not None:
            providers = tuple(name for name in providers if name == intent.provider)
        if not self._providers_of_issuer(intent, providers):
            raise LoginRefused(
                f"no identity provider for `{intent.return_to.partition('?')[0]:.200}`",
                public_message="No identity provider is set up for this address.",
            )
        return providers

    def _providers_of_issuer(
        self, intent: LoginIntent, providers: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Return the providers with the issuer in `iss`, until the user has chosen one."""
        if intent.issuer is None or intent.provider is not None:
            return providers
        settings = {name: self._context.providers[name].settings for name in providers}
        return tuple(name for name in providers if settings[name].issuer == intent.issuer)

    async def _to_central_host(self, request: LoginRequest, intent: LoginIntent) -> LoginResponse:
        context, central = self._context, self._context.auth_host
        assert central is not None  # noqa: S101  # `uses_central_host`
        if context.shares_session(request.origin, central):
            url = self._start_url_elsewhere(intent)
            return redirect(f"{central}{url.removeprefix(str(parse_url(url)[0]))}")
        previous = await context.active_session(
            request, self._providers_of_issuer(intent, self._allowed_providers(intent))
        )
        transaction = self._transaction(intent, provider=None, previous=previous)
        sealed = seal_intent(
            # The host that began continues its chain; the central host does not need it.
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
        previous = await context.active_session(request, (provider_name,))
        transaction = self._transaction(
            intent,
            provider=provider_name,
            previous=previous,
            callback=provider.settings.callback or "own",
        )
        extra = {"login_hint": intent.login_hint} if intent.login_hint else {}
        extra |= {"prompt": "login"} if intent.switch else {}
        if intent.step_up is not None:
            prompt_login = needs_prompt_login(intent.step_up, round_number=intent.round)
            extra |= authentication_parameters(intent.step_up, prompt_login=prompt_login)
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
            if (next_step := self._skip_host(request, intent)) is not None:
                return next_step
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
        previous: ActiveSession | None,
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
            previous_session="" if previous is None else previous.session.public_id,
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
    """Whether the navigation comes from this origin, or the browser sends no Fetch Metadata."""
    return all(site == "same-origin" for site in request.header_lines("sec-fetch-site"))


def _comes_from_elsewhere(request: LoginRequest) -> bool:
    return request.header("sec-fetch-site") not in {"same-origin", "none"}
