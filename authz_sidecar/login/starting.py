"""The beginning: whether to sign in at all, where, with which provider, and how to come back."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import AttemptLost, LoginRefused, ProviderUnavailable
from authz_sidecar.login.attempts import Attempt, attempt_id
from authz_sidecar.login.errand import (
    CHOICE,
    CHOICE_SECONDS,
    HAND_OVER,
    HAND_OVER_SECONDS,
    Errand,
    open_errand,
    seal_errand,
)
from authz_sidecar.login.loop import MOST_ROUNDS
from authz_sidecar.login.messages import BadRequest, LoginReply, one, redirect
from authz_sidecar.login.trouble import Interrupted

if TYPE_CHECKING:
    from authz_sidecar.login.desk import Desk
    from authz_sidecar.login.handover import HandOver
    from authz_sidecar.login.messages import LoginRequest, Pairs

_HINT = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class Starting:
    def __init__(self, desk: Desk, handover: HandOver) -> None:
        self._desk = desk
        self._handover = handover

    async def start(self, request: LoginRequest) -> LoginReply:
        desk = self._desk
        pairs = (*request.query, *request.form)
        errand = self._sealed_errand(request, pairs) or self._errand(request, pairs)
        if errand.round > MOST_ROUNDS or desk.loop.trips(
            request.cookies, origin=request.origin, now=desk.clock()
        ):
            return desk.too_many_rounds(request)
        if errand.flow is None:
            origin, _ = parse_url(errand.return_to)
            if not desk.shares_session(origin, request.origin):
                return redirect(self._elsewhere(errand))
        if desk.strict and one(pairs, "again") is None and _comes_from_elsewhere(request):
            return self._once_more(request)
        return await self._sign_in(request, errand)

    async def choose(self, request: LoginRequest) -> LoginReply:
        desk = self._desk
        errand = self._sealed_errand(request, request.query)
        if errand is None:
            errand = self._errand(request, request.query)
            origin, _ = parse_url(errand.return_to)
            if desk.signs_in_elsewhere(request.origin) or origin != request.origin:
                return redirect(self._elsewhere(errand))
        providers = desk.providers_for(errand.return_to)
        if len(providers) < 2:
            return redirect(self._elsewhere(errand))
        options = tuple(
            (label, desk.url(request.origin, "start", choice=self._choice(request, errand, name)))
            for name, label in zip(providers, desk.labels(providers), strict=True)
        )
        origin, _ = parse_url(errand.return_to)
        return desk.page(desk.pages.choose_provider(options=options, host=origin.authority))

    def _errand(self, request: LoginRequest, pairs: Pairs) -> Errand:
        """Of what anybody may ask for: where to, and hints."""
        desk = self._desk
        raw = one(pairs, "rd")
        # OpenID Connect Core, 4: a third party names the target so, and the issuer it believes in.
        target = one(pairs, "target_link_uri")
        raw = target if raw is None else raw
        hint, issuer, attempt = (one(pairs, name) for name in ("login_hint", "iss", "attempt"))
        if raw is None:
            raw = desk.home(request.origin)
        if hint is not None and not _HINT.fullmatch(hint):
            raise BadRequest("unusable login_hint")
        if attempt is not None and not re.fullmatch(r"[0-9]{1,2}", attempt):
            raise BadRequest("unusable attempt number")
        address = desk.addresses.parse(raw, on=request.origin)
        return Errand(
            return_to=address.url,
            shortened=address.shortened or one(pairs, "shortened") == "1",
            round=max(1, int(attempt or 1)),
            switch=one(pairs, "switch") == "1",
            login_hint=hint,
            issuer=issuer,
        )

    def _sealed_errand(self, request: LoginRequest, pairs: Pairs) -> Errand | None:
        """Of what only we can have asked for."""
        desk = self._desk
        sealed = {HAND_OVER: one(pairs, "request"), CHOICE: one(pairs, "choice")}
        given = [(purpose, text) for purpose, text in sealed.items() if text is not None]
        if not given:
            return None
        if len(given) > 1 or (given[0][0] == HAND_OVER and request.origin != desk.auth_host):
            raise BadRequest("a sealed request where none belongs")
        purpose, text = given[0]
        opened = open_errand(
            text, desk.keys, purpose=purpose, origin=request.origin, now=desk.clock()
        )
        if opened is None:
            raise BadRequest("sealed request is not ours")
        errand, fresh = opened
        if not fresh:
            raise Interrupted(
                AttemptLost("sealed request has expired"),
                retry=desk.start_url(errand.return_to, number=errand.round + 1),
            )
        return errand

    def _elsewhere(self, errand: Errand) -> str:
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
        )

    def _once_more(self, request: LoginRequest) -> LoginReply:
        """A strict cookie stays at home when another site sends the browser; a page of our own that
        goes on by itself makes the next request one of ours."""
        parameters = dict((*request.query, *request.form)) | {"again": "1"}
        url = self._desk.url(request.origin, "start", **parameters)
        return self._desk.page(self._desk.pages.continue_to(url=url))

    async def _sign_in(self, request: LoginRequest, errand: Errand) -> LoginReply:
        desk = self._desk
        providers = self._allowed(errand)
        found = None if errand.switch else await desk.living(request, providers)
        if found is not None and errand.flow is not None:
            return await self._handover.send_ticket(
                found, return_to=errand.return_to, flow=errand.flow
            )
        if found is not None:
            round_ = desk.loop.count(request.cookies, origin=request.origin, now=desk.clock())
            return redirect(errand.return_to).with_cookies(round_)
        if desk.signs_in_elsewhere(request.origin):
            return self._to_central_host(request, errand)
        if len(providers) > 1:
            sealed = self._choice(request, errand, None)
            return redirect(desk.url(request.origin, "choose", choice=sealed))
        return await self._to_provider(request, errand, providers[0])

    def _allowed(self, errand: Errand) -> tuple[str, ...]:
        """The providers of the route, narrowed by what was chosen or asked for."""
        desk = self._desk
        providers = desk.providers_for(errand.return_to)
        if errand.provider is not None:
            providers = tuple(name for name in providers if name == errand.provider)
        if errand.issuer is not None:
            providers = tuple(
                name for name in providers if desk.providers[name].settings.issuer == errand.issuer
            )
        if not providers:
            raise LoginRefused(
                f"no identity provider for `{errand.return_to.partition('?')[0]:.200}`",
                public="No identity provider is set up for this address.",
            )
        return providers

    def _to_central_host(self, request: LoginRequest, errand: Errand) -> LoginReply:
        desk, central = self._desk, self._desk.auth_host
        assert central is not None  # noqa: S101  # `signs_in_elsewhere`
        if desk.shares_session(request.origin, central):
            url = self._elsewhere(errand)
            return redirect(f"{central}{url.removeprefix(str(parse_url(url)[0]))}")
        attempt = self._attempt(errand, provider=None)
        sealed = seal_errand(
            replace(errand, flow=attempt.flow_hash),
            desk.keys,
            purpose=HAND_OVER,
            origin=central,
            expires_at=desk.clock() + HAND_OVER_SECONDS,
        )
        cookies = desk.attempts.keep(
            attempt, request.cookies, origin=request.origin, cross_site=False
        )
        return redirect(desk.url(central, "start", request=sealed)).with_cookies(*cookies)

    async def _to_provider(
        self, request: LoginRequest, errand: Errand, provider_name: str
    ) -> LoginReply:
        desk = self._desk
        provider = desk.providers[provider_name]
        attempt = self._attempt(errand, provider=provider_name)
        extra = {"login_hint": errand.login_hint} if errand.login_hint else {}
        extra |= {"prompt": "login"} if errand.switch else {}
        try:
            url = await provider.authorization_url(
                state=attempt.state,
                nonce=attempt.nonce,
                verifier=attempt.verifier,
                redirect_uri=desk.url(request.origin, "callback"),
                extra=extra,
            )
        except ProviderUnavailable as error:
            retry = desk.start_url(errand.return_to)
            raise Interrupted(error, retry=retry, provider=provider.label) from error
        cookies = desk.attempts.keep(
            attempt,
            request.cookies,
            origin=request.origin,
            cross_site=provider.settings.response_mode == "form_post",
        )
        return redirect(url).with_cookies(*cookies)

    def _attempt(self, errand: Errand, *, provider: str | None) -> Attempt:
        desk, now = self._desk, self._desk.clock()
        return Attempt(
            id=attempt_id(now, desk.random(6)),
            seed=desk.random(32),
            return_to=errand.return_to,
            started_at=now,
            provider=provider,
            flow=errand.flow,
            shortened=errand.shortened,
            round=errand.round,
            instance=desk.instance,
        )

    def _choice(self, request: LoginRequest, errand: Errand, provider: str | None) -> str:
        desk = self._desk
        return seal_errand(
            replace(errand, provider=provider),
            desk.keys,
            purpose=CHOICE,
            origin=request.origin,
            expires_at=desk.clock() + CHOICE_SECONDS,
        )


def _comes_from_elsewhere(request: LoginRequest) -> bool:
    return request.header("sec-fetch-site") not in {"same-origin", "none"}
