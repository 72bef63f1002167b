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
    def __init__(self, desk: LoginContext, handover: SessionHandoff, walking: HostChain) -> None:
        self._desk = desk
        self._handover = handover
        self._walking = walking
        self._asking = LoginRequestParser(desk)
        self._sufficing = ExistingSessionCheck(desk)

    async def start(self, request: LoginRequest) -> LoginResponse:
        desk = self._desk
        pairs = (*request.query, *request.form)
        errand = self._asking.open_sealed(request, pairs) or self._asking.parse_query(
            request, pairs
        )
        if single_parameter(pairs, "choice") is not None and not _is_same_origin_navigation(
            request
        ):
            # Others may have got the link from the chooser, and chosen for somebody else.
            sealed = self._choice(request, errand, None)
            return redirect(desk.url(request.origin, "choose", choice=sealed))
        if errand.round > MAX_ROUNDS or desk.loop_detector.is_looping(
            request.cookies, origin=request.origin, now=desk.clock()
        ):
            # On a walk nobody is kept from where they were going.
            return self._skip_host(request, errand) or await desk.loop_page(request)
        if errand.flow is None:
            origin, _ = parse_url(errand.return_to)
            if not desk.shares_session(origin, request.origin):
                return redirect(self._elsewhere(errand))
        if (
            desk.uses_strict_cookies
            and single_parameter(pairs, "again") is None
            and _comes_from_elsewhere(request)
        ):
            return self._same_site_bounce(request)
        return await self._sign_in(request, errand)

    async def choose(self, request: LoginRequest) -> LoginResponse:
        desk = self._desk
        errand = self._asking.open_sealed(request, request.query)
        if errand is None:
            errand = self._asking.parse_query(request, request.query)
            origin, _ = parse_url(errand.return_to)
            if desk.uses_central_host(request.origin) or origin != request.origin:
                return redirect(self._elsewhere(errand))
        providers = desk.providers_for(errand.return_to)
        if len(providers) < 2:
            return redirect(self._elsewhere(errand))
        return self._chooser(request, errand, providers)

    def _chooser(
        self, request: LoginRequest, errand: LoginIntent, providers: tuple[str, ...]
    ) -> LoginResponse:
        desk = self._desk
        options = tuple(
            (label, desk.url(request.origin, "start", choice=self._choice(request, errand, name)))
            for name, label in zip(providers, desk.labels(providers), strict=True)
        )
        origin, _ = parse_url(errand.return_to)
        return desk.page(desk.pages.choose_provider(options=options, host=origin.authority))

    def _elsewhere(self, errand: LoginIntent) -> str:
        """The `start` of the host that the return address is on."""
        origin, _ = parse_url(errand.return_to)
        return self._desk.url(
            origin,
            "start",
            rd=errand.return_to,
            attempt=str(errand.round) if errand.round > 1 else None,
            switch="1" if errand.switch else None,
            login_hint=errand.login_hint,
            iss=errand.issuer,
            **({"for": errand.asked} if errand.asked else {}),
        )

    def _same_site_bounce(self, request: LoginRequest) -> LoginResponse:
        """A strict cookie stays at home when another site sends the browser; a page of our own that
        goes on by itself makes the next request one of ours."""
        parameters = dict((*request.query, *request.form)) | {"again": "1"}
        url = self._desk.url(request.origin, "start", **parameters)
        return self._desk.page(self._desk.pages.continue_to(url=url))

    async def _sign_in(self, request: LoginRequest, errand: LoginIntent) -> LoginResponse:
        desk = self._desk
        providers = self._allowed(errand)
        if not errand.switch and errand.flow is None and errand.step_up is None:
            errand = await self._sufficing.with_requirement(request, errand, providers)
            providers = self._allowed(errand)
        found = None
        if not errand.switch:
            named = self._named(errand, providers)
            found = await self._sufficing.satisfying_session(request, errand, named)
        if found is not None and errand.flow is not None:
            return await self._handover.send_ticket(
                found, return_to=errand.return_to, flow=errand.flow
            )
        if found is not None:
            return self._resume(request, errand, found)
        if desk.uses_central_host(request.origin):
            return await self._to_central_host(request, errand)
        if len(providers) > 1 and errand.issuer is not None:
            # What a third party begins goes no further by itself.
            return self._chooser(request, errand, providers)
        if len(providers) > 1:
            sealed = self._choice(request, errand, None)
            return redirect(desk.url(request.origin, "choose", choice=sealed))
        return await self._to_provider(request, errand, providers[0])

    def _resume(
        self, request: LoginRequest, errand: LoginIntent, found: ActiveSession
    ) -> LoginResponse:
        """On to where somebody was going who is signed in as it takes."""
        desk, provider = self._desk, found.session.identity.provider
        if errand.walk:
            url = self._walking.next_step(errand.walk, provider=provider, current=request.origin)
        else:
            url = self._walking.first_step(errand.return_to, provider=provider)
        if errand.walk and not errand.asked:
            return redirect(url)  # a step of our own, which comes once
        round_ = desk.loop_detector.count_round(
            request.cookies, origin=request.origin, now=desk.clock()
        )
        return redirect(url).with_cookies(round_)

    def _skip_host(self, request: LoginRequest, errand: LoginIntent) -> LoginResponse | None:
        """On a walk: the next step, without a sign-in on this host."""
        if not errand.walk or errand.provider is None:
            return None
        return redirect(
            self._walking.next_step(errand.walk, provider=errand.provider, current=request.origin)
        )

    def _allowed(self, errand: LoginIntent) -> tuple[str, ...]:
        """The providers of the route, or the one of them that was chosen. Which issuer was asked for
        narrows nothing: a link of a third party does not choose for the visitor."""
        providers = self._desk.providers_for(errand.return_to)
        if errand.provider is not None:
            providers = tuple(name for name in providers if name == errand.provider)
        if not self._named(errand, providers):
            raise LoginRefused(
                f"no identity provider for `{errand.return_to.partition('?')[0]:.200}`",
                public_message="No identity provider is set up for this address.",
            )
        return providers

    def _named(self, errand: LoginIntent, providers: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the issuer that was asked for, until one was chosen."""
        if errand.issuer is None or errand.provider is not None:
            return providers
        settings = {name: self._desk.providers[name].settings for name in providers}
        return tuple(name for name in providers if settings[name].issuer == errand.issuer)

    async def _to_central_host(self, request: LoginRequest, errand: LoginIntent) -> LoginResponse:
        desk, central = self._desk, self._desk.auth_host
        assert central is not None  # noqa: S101  # `uses_central_host`
        if desk.shares_session(request.origin, central):
            url = self._elsewhere(errand)
            return redirect(f"{central}{url.removeprefix(str(parse_url(url)[0]))}")
        there = await desk.active_session(request, self._named(errand, self._allowed(errand)))
        attempt = self._attempt(errand, provider=None, there=there)
        sealed = seal_intent(
            # Where the walk goes on is the business of the host that it came to.
            replace(errand, flow=attempt.flow_hash, walk=()),
            desk.keys,
            purpose=HANDOFF_PURPOSE,
            origin=central,
            expires_at=desk.clock() + HANDOFF_SECONDS,
        )
        cookies = desk.transactions.keep(
            attempt, request.cookies, origin=request.origin, cross_site=False
        )
        return redirect(desk.url(central, "start", request=sealed)).with_cookies(*cookies)

    async def _to_provider(
        self, request: LoginRequest, errand: LoginIntent, provider_name: str
    ) -> LoginResponse:
        desk = self._desk
        provider = desk.providers[provider_name]
        there = await desk.active_session(request, (provider_name,))
        attempt = self._attempt(
            errand,
            provider=provider_name,
            there=there,
            callback=provider.settings.callback or "own",
        )
        extra = {"login_hint": errand.login_hint} if errand.login_hint else {}
        extra |= {"prompt": "login"} if errand.switch else {}
        if errand.step_up is not None:
            insist = needs_prompt_login(errand.step_up, round_number=errand.round)
            extra |= authentication_parameters(errand.step_up, prompt_login=insist)
        elif errand.wish is not None:
            extra |= authentication_parameters(errand.wish, prompt_login=False)
        try:
            uris, settings = desk.redirect_uris, provider.settings
            uris.check_registration(settings, origin=request.origin)
            uris.check_iss_support(settings, await provider.metadata(), origin=request.origin)
            url = await provider.authorization_url(
                state=attempt.state,
                nonce=attempt.nonce,
                verifier=attempt.verifier,
                redirect_uri=uris.for_transaction(request.origin, attempt),
                extra=extra,
            )
        except (ProviderUnavailable, RedirectUriNotReady) as error:
            if (onward := self._skip_host(request, errand)) is not None:
                return onward
            retry = desk.start_url(errand.return_to)
            raise LoginError(error, retry=retry, provider=provider.label) from error
        cookies = desk.transactions.keep(
            attempt,
            request.cookies,
            origin=request.origin,
            cross_site=provider.settings.response_mode == "form_post",
        )
        return redirect(url).with_cookies(*cookies)

    def _attempt(
        self,
        errand: LoginIntent,
        *,
        provider: str | None,
        there: ActiveSession | None,
        callback: CallbackMode | None = None,
    ) -> LoginTransaction:
        desk, now = self._desk, self._desk.clock()
        return LoginTransaction(
            id=transaction_id(now, desk.random(6)),
            secret=desk.random(32),
            return_to=errand.return_to,
            started_at=now,
            provider=provider,
            flow=errand.flow,
            shortened=errand.shortened,
            round=errand.round,
            instance=desk.instance,
            step_up=errand.step_up,
            user=errand.user,
            walk=errand.walk,
            previous_session="" if there is None else there.session.public_id,
            callback=callback,
        )

    def _choice(self, request: LoginRequest, errand: LoginIntent, provider: str | None) -> str:
        desk = self._desk
        return seal_intent(
            replace(errand, provider=provider),
            desk.keys,
            purpose=CHOICE_PURPOSE,
            origin=request.origin,
            expires_at=desk.clock() + CHOICE_SECONDS,
        )


def _is_same_origin_navigation(request: LoginRequest) -> bool:
    """As far as the browser says where a navigation comes from; all do that know Fetch Metadata."""
    return all(site == "same-origin" for site in request.header_lines("sec-fetch-site"))


def _comes_from_elsewhere(request: LoginRequest) -> bool:
    return request.header("sec-fetch-site") not in {"same-origin", "none"}
