"""What every step of a sign-in has at hand, and the few questions all of them ask.

Holds no data of any sign-in. Where one host's sign-in happens, which providers may do it and which
session counts is decided here, once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from authz_sidecar.core.redirects import ReturnUrlValidator
from authz_sidecar.core.urls import parse_url
from authz_sidecar.errors import BadReturnUrl, RateLimited
from authz_sidecar.login.http import LoginResponse
from authz_sidecar.login.loop_detection import LoopCause, LoopDetector
from authz_sidecar.login.redirect_uri import RedirectUris
from authz_sidecar.login.transactions import TransactionCookies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.core.types import Identity, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.login.http import LoginRequest
    from authz_sidecar.login.interfaces import (
        DecisionPreview,
        Pages,
        Routes,
        SessionFinder,
        SignInRecorder,
    )
    from authz_sidecar.login.providers import OIDCClient
    from authz_sidecar.login.transactions import LoginTransaction
    from authz_sidecar.rate_limit import RateLimiter
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions.cookie import SessionCookies
    from authz_sidecar.sessions.service import SessionService


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSession:
    """A living session of the request's browser on the request's host."""

    token: str
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginContext:
    """`default_providers` serve what no route claims. `instance` is empty where all instances share
    a store; otherwise it tells attempts of another instance from our own. `refreshed_sessions`
    finds sessions as the gate does, refreshed when it is time; `assertion` signs what an
    application is told of one, and says until when that holds."""

    keys: SecretKeys
    sessions: SessionService
    cookies: SessionCookies
    pages: Pages
    recorder: SignInRecorder
    rate_limiter: RateLimiter
    routes: Routes
    preview: DecisionPreview
    refreshed_sessions: SessionFinder
    assertion: Callable[[Session, Origin], tuple[str, float]]
    providers: Mapping[str, OIDCClient]
    default_providers: tuple[str, ...]
    base_path: str
    auth_host: Origin | None
    instance: str
    clock: Callable[[], float]
    random: Callable[[int], bytes]

    @property
    def transactions(self) -> TransactionCookies:
        return TransactionCookies(self.keys, base_name=self.cookies.name)

    @property
    def loop_detector(self) -> LoopDetector:
        return LoopDetector(keys=self.keys, base_name=self.cookies.name)

    @property
    def redirect_uris(self) -> RedirectUris:
        return RedirectUris(providers=frozenset(self.providers), base_path=self.base_path)

    @property
    def return_urls(self) -> ReturnUrlValidator:
        return ReturnUrlValidator(is_known_origin=self.is_known_origin, base_path=self.base_path)

    @property
    def uses_strict_cookies(self) -> bool:
        return self.cookies.same_site == "strict"

    def is_known_origin(self, origin: Origin) -> bool:
        return origin == self.auth_host or self.routes.is_known_origin(origin)

    def uses_central_host(self, origin: Origin) -> bool:
        return self.auth_host is not None and origin != self.auth_host

    def shares_session(self, left: Origin, right: Origin) -> bool:
        return self.cookies.scope_for(left) == self.cookies.scope_for(right)

    def default_url(self, origin: Origin) -> str:
        """Where to go on a host when nobody says where: its root, or who-am-I where there is none."""
        served = self.routes.match(origin, "/") is not None
        return f"{origin}/" if served else f"{origin}{self.base_path}/"

    def url(self, origin: Origin, name: str, **parameters: str | None) -> str:
        """The address of one of our own routes."""
        given = {key: value for key, value in parameters.items() if value is not None}
        query = f"?{urlencode(given)}" if given else ""
        return f"{origin}{self.base_path}/{name}{query}"

    def start_url(self, return_to: str, *, round_number: int = 1) -> str:
        """Begin again, on the host that the sign-in is for."""
        origin, _ = parse_url(return_to)
        transaction = str(round_number) if round_number > 1 else None
        return self.url(origin, "start", rd=return_to, attempt=transaction)

    def restart_url(self, transaction: LoginTransaction, *, here: Origin) -> str:
        """Begin again what an attempt was for; on a walk, go on to where it ends."""
        if transaction.walk:
            return self.revalidate_return_url(transaction.walk[-1], origin=here)
        return self.start_url(transaction.return_to, round_number=transaction.round + 1)

    def revalidate_return_url(self, return_to: str, *, origin: Origin) -> str:
        """The return address, judged again: routes may have changed since it was stored."""
        try:
            return self.return_urls.validate(return_to, base_origin=origin)
        except BadReturnUrl:
            return self.default_url(origin)

    def providers_for(self, return_to: str) -> tuple[str, ...]:
        origin, target = parse_url(return_to)
        route = self.routes.match(origin, target.partition("?")[0])
        named = route.providers if route is not None else ()
        return tuple(name for name in named or self.default_providers if name in self.providers)

    def labels(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """What people know these providers by; with their names where that says the same of two."""
        labels = [self.providers[name].label for name in names]
        return tuple(
            label if labels.count(label) == 1 else f"{label} ({name})"
            for name, label in zip(names, labels, strict=True)
        )

    def depends_on(self, address: str) -> tuple[str, ...]:
        """The other hosts that a page needs to be signed in on."""
        origin, target = parse_url(address)
        route = self.routes.match(origin, target.partition("?")[0])
        return () if route is None else route.depends_on

    async def active_session(
        self, request: LoginRequest, providers: tuple[str, ...]
    ) -> ActiveSession | None:
        """The first living session with one of these providers."""
        scope = self.cookies.scope_for(request.origin)
        for provider in providers:
            name = self.cookies.name_for(provider, request.origin)
            token = self.cookies.read_token(request.cookies, name)
            if token is None:
                continue
            session = await self.sessions.find(token, scope=scope, provider=provider)
            if session is not None:
                return ActiveSession(token=token, session=session)
        return None

    async def active_sessions(self, request: LoginRequest) -> tuple[ActiveSession, ...]:
        """Every living session of this browser on this host, one for each provider."""
        found = [await self.active_session(request, (provider,)) for provider in self.providers]
        return tuple(each for each in found if each is not None)

    async def admit_account(self, identity: Identity, *, endpoint: str) -> None:
        """Count what somebody does who has proved who they are: nobody uses up another's share.
        Raises `RateLimited`."""
        account = json.dumps([identity.provider, identity.issuer, identity.subject])
        try:
            await self.rate_limiter.limit(f"{endpoint} of {account}")
        except RateLimited:
            self.recorder.count_throttled(endpoint=endpoint)
            raise

    def session_cookie(self, session: Session, token: str, *, origin: Origin) -> str:
        return self.cookies.set_cookie(
            self.cookies.name_for(session.identity.provider, origin),
            token,
            origin=origin,
            max_age=session.expires_at - self.clock(),
        )

    def page(self, html: str, *, status: int = 200) -> LoginResponse:
        return LoginResponse(status=status, headers=self.pages.headers(), body=html.encode())

    def not_signed_in_page(self, request: LoginRequest, *, return_path: str) -> LoginResponse:
        """A page of somebody's own, and nobody is signed in."""
        html = self.pages.error(
            title="You are not signed in",
            message="Nobody is signed in on this site with this browser.",
            request_id=request.request_id,
            retry_url=self.url(request.origin, "start", rd=f"{self.base_path}/{return_path}"),
            retry_label="Sign in",
        )
        return self.page(html, status=401)

    async def loop_page(self, request: LoginRequest) -> LoginResponse:
        html = self.pages.too_many_redirects(
            host=request.origin.authority,
            request_id=request.request_id,
            cause=await self._loop_cause(request),
        )
        return self.page(html, status=400)

    async def _loop_cause(self, request: LoginRequest) -> LoopCause:
        if await self.active_sessions(request):
            return LoopCause.STILL_ASKED
        names = (self.cookies.name_for(provider, request.origin) for provider in self.providers)
        if any(self.cookies.read_token(request.cookies, name) for name in names):
            return LoopCause.SESSION_LOST
        keeps = self.loop_detector.keeps_cookies(
            request.cookies, origin=request.origin, now=self.clock()
        )
        return LoopCause.COOKIE_LOST if keeps else LoopCause.NO_COOKIES
