"""The login context: the services that every login endpoint uses, and the rules that they share.

Holds no data of any login. Decides on which host a login takes place, which providers it may use
and which session counts.
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
    """A valid session of the request's browser on the request's host.

    `token`: the secret in its cookie.
    """

    token: str
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginContext:
    """The services and settings of all login endpoints.

    `keys`: seals cookies and URL parameters.
    `preview`: what a check would decide for a user.
    `refreshed_sessions`: finds sessions as checks do, refreshing those that are due.
    `assertion`: returns the signed identity assertion for a session and when it expires, in Unix
    seconds.
    `default_providers`: the providers of URLs whose route names none.
    `base_path`: the path of our own pages on every host.
    `auth_host`: the central login host, if one is configured.
    `instance`: the id of this instance where each has a session store of its own; empty where they
    share one.
    `random`: returns that many random bytes.
    """

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
        """The cookies that hold login transactions."""
        return TransactionCookies(self.keys, base_name=self.cookies.name)

    @property
    def loop_detector(self) -> LoopDetector:
        """The detector of redirect loops."""
        return LoopDetector(keys=self.keys, base_name=self.cookies.name)

    @property
    def redirect_uris(self) -> RedirectUris:
        """The redirect URIs of the configured providers."""
        return RedirectUris(providers=frozenset(self.providers), base_path=self.base_path)

    @property
    def return_urls(self) -> ReturnUrlValidator:
        """The validator of return URLs."""
        return ReturnUrlValidator(is_known_origin=self.is_known_origin, base_path=self.base_path)

    @property
    def uses_strict_cookies(self) -> bool:
        """Whether session cookies have `SameSite=Strict`."""
        return self.cookies.same_site == "strict"

    def is_known_origin(self, origin: Origin) -> bool:
        """Whether this is the central login host or the host of a route."""
        return origin == self.auth_host or self.routes.is_known_origin(origin)

    def uses_central_host(self, origin: Origin) -> bool:
        """Whether users of this host log in on the central login host."""
        return self.auth_host is not None and origin != self.auth_host

    def shares_session(self, left: Origin, right: Origin) -> bool:
        """Whether two hosts share a session cookie."""
        return self.cookies.scope_for(left) == self.cookies.scope_for(right)

    def default_url(self, origin: Origin) -> str:
        """Return the URL to go to when a request names no return URL: the host's root, or our own
        page where no route serves the root."""
        served = self.routes.match(origin, "/") is not None
        return f"{origin}/" if served else f"{origin}{self.base_path}/"

    def url(self, origin: Origin, name: str, **parameters: str | None) -> str:
        """Return the URL of one of our own endpoints; parameters that are None are left out."""
        present = {key: value for key, value in parameters.items() if value is not None}
        query = f"?{urlencode(present)}" if present else ""
        return f"{origin}{self.base_path}/{name}{query}"

    def start_url(self, return_to: str, *, round_number: int = 1) -> str:
        """Return the URL that starts a login on the host of `return_to`.

        `round_number`: 1 for the first attempt.
        """
        origin, _ = parse_url(return_to)
        attempt = str(round_number) if round_number > 1 else None
        return self.url(origin, "start", rd=return_to, attempt=attempt)

    def restart_url(self, transaction: LoginTransaction, *, here: Origin) -> str:
        """Return the URL that repeats the login of a transaction; within a host chain, the chain's
        last URL."""
        if transaction.walk:
            return self.revalidate_return_url(transaction.walk[-1], origin=here)
        return self.start_url(transaction.return_to, round_number=transaction.round + 1)

    def revalidate_return_url(self, return_to: str, *, origin: Origin) -> str:
        """Return a stored return URL if it is still valid, or the default URL of `origin`: routes
        may have changed."""
        try:
            return self.return_urls.validate(return_to, base_origin=origin)
        except BadReturnUrl:
            return self.default_url(origin)

    def providers_for(self, return_to: str) -> tuple[str, ...]:
        """Return the providers that may log users in for this URL."""
        origin, target = parse_url(return_to)
        route = self.routes.match(origin, target.partition("?")[0])
        providers = route.providers if route is not None else ()
        return tuple(name for name in providers or self.default_providers if name in self.providers)

    def labels(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of these providers on pages, with the id added where two are the same."""
        labels = [self.providers[name].label for name in names]
        return tuple(
            label if labels.count(label) == 1 else f"{label} ({name})"
            for name, label in zip(names, labels, strict=True)
        )

    def depends_on(self, address: str) -> tuple[str, ...]:
        """Return the other hosts that this page needs sessions on."""
        origin, target = parse_url(address)
        route = self.routes.match(origin, target.partition("?")[0])
        return () if route is None else route.depends_on

    async def active_session(
        self, request: LoginRequest, providers: tuple[str, ...]
    ) -> ActiveSession | None:
        """Return the first valid session with one of these providers, or None."""
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
        """Return all valid sessions of this browser on this host, one for each provider."""
        sessions = [await self.active_session(request, (provider,)) for provider in self.providers]
        return tuple(session for session in sessions if session is not None)

    async def admit_account(self, identity: Identity, *, endpoint: str) -> None:
        """Apply the rate limit of one user account to an endpoint. Raises `RateLimited`."""
        account = json.dumps([identity.provider, identity.issuer, identity.subject])
        try:
            await self.rate_limiter.limit(f"{endpoint} of {account}")
        except RateLimited:
            self.recorder.count_throttled(endpoint=endpoint)
            raise

    def session_cookie(self, session: Session, token: str, *, origin: Origin) -> str:
        """Return the Set-Cookie value of a new session."""
        return self.cookies.set_cookie(
            self.cookies.name_for(session.identity.provider, origin),
            token,
            origin=origin,
            max_age=session.expires_at - self.clock(),
        )

    def page(self, html: str, *, status: int = 200) -> LoginResponse:
        """Return a response with an HTML page."""
        return LoginResponse(status=status, headers=self.pages.headers(), body=html.encode())

    def not_signed_in_page(self, request: LoginRequest, *, return_path: str) -> LoginResponse:
        """Return the 401 page of an endpoint that needs a session, with a link to log in."""
        html = self.pages.error(
            title="You are not signed in",
            message="This browser has no active session on this site.",
            request_id=request.request_id,
            retry_url=self.url(request.origin, "start", rd=f"{self.base_path}/{return_path}"),
            retry_label="Sign in",
        )
        return self.page(html, status=401)

    async def loop_page(self, request: LoginRequest) -> LoginResponse:
        """Return the 400 page that names the likely cause of a redirect loop."""
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
        keeps_cookies = self.loop_detector.keeps_cookies(
            request.cookies, origin=request.origin, now=self.clock()
        )
        return LoopCause.COOKIE_LOST if keeps_cookies else LoopCause.NO_COOKIES
