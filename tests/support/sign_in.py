"""Sign-in as the product composes it, over the in-memory store, with a clock that tests may turn;
the browser of the tests reaches its hosts without a socket, and the provider over the network."""

from __future__ import annotations

import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpx2

from authz_sidecar.check.preview import DecisionPreview
from authz_sidecar.config.schema import Config
from authz_sidecar.core.urls import Origin, parse_origin
from authz_sidecar.identity.assertion import AssertionSigner, derive_signing_keys
from authz_sidecar.identity.groups import AllGroups
from authz_sidecar.login.claims import ClaimRules
from authz_sidecar.login.context import LoginContext
from authz_sidecar.login.host_resolution import HostResolver
from authz_sidecar.login.providers import OIDCClient, ProviderSettings
from authz_sidecar.login.service import LoginService
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.rate_limit import RateLimit, RateLimiter
from authz_sidecar.routes_from_config import compile_routes
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import MemoryStore, SessionCookies, SessionService
from authz_sidecar.web.login_app import LoginServices, build_web_app
from authz_sidecar.web.pages import Pages
from tests.servers.browser import Browser
from tests.servers.providers import CLIENT_ID, CLIENT_SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from fastapi import FastAPI

    from authz_sidecar.core.types import Session

AUTH = "https://auth.example.com"
APP = "https://app.example.com"
ADMIN = "https://admin.example.com"
WIKI = "https://wiki.example.org"
"""Under another apex domain than the others."""

LIFETIME = 3600.0
APPS = (APP, ADMIN, WIKI)


@dataclass
class Clock:
    offset: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


@dataclass(kw_only=True)
class SignInFixture:
    """`providers` by name, each with the settings that differ from the usual."""

    issuer: str
    auth_host: str | None = AUTH
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"corp": {}})
    routes: tuple[Mapping[str, Any], ...] = tuple({"from": host} for host in APPS)
    default_provider: str | None = None
    cookie_domain: str | None = None
    same_site: Any = "lax"
    instance: str = ""
    limits: RateLimit = field(default_factory=RateLimit)
    clock: Clock = field(default_factory=Clock)
    keys: SecretKeys = field(default_factory=lambda: SecretKeys([b"k" * 32]))
    context: LoginContext = field(init=False)
    app: FastAPI = field(init=False)
    store: MemoryStore = field(init=False)
    signer: AssertionSigner = field(init=False)

    def __post_init__(self) -> None:
        config = Config.model_validate(
            {
                "secret_keys": ["k" * 32],
                "sessions": {"store": "memory://"},
                "identity_providers": {
                    name: {"issuer": self.issuer, "client_id": CLIENT_ID} for name in self.providers
                },
                "default_identity_provider": self.default_provider,
                "routes": [
                    {"allow_any_authenticated_user": True, **route} for route in self.routes
                ],
            }
        )
        built = compile_routes(config)
        assert not built.problems, built.problems
        self.store = MemoryStore(clock=self.clock)
        sessions = SessionService(
            store=self.store,
            secret_keys=self.keys,
            lifetime=LIFETIME,
            idle_timeout=LIFETIME,
            clock=self.clock,
        )
        self.signer = AssertionSigner(
            derive_signing_keys(self.keys), ttl=300, group_filter=AllGroups(), clock=self.clock
        )
        names = tuple(self.providers)
        self.context = LoginContext(
            keys=self.keys,
            sessions=sessions,
            cookies=SessionCookies(
                name="authz",
                same_site=self.same_site,
                domain=self.cookie_domain,
                providers=names,
                default_provider=self.default_provider,
            ),
            pages=Pages(base_path="/.auth"),
            recorder=Metrics(version="", with_process_metrics=False),
            rate_limiter=RateLimiter(
                sessions.one_time, limits=self.limits, clock=self._rate_limit_clock()
            ),
            routes=built.index,
            preview=DecisionPreview(index=built.index, clock=self.clock),
            refreshed_sessions=sessions,
            assertion=self.signer.assertion_and_expiry,
            providers={name: self._provider(name, more) for name, more in self.providers.items()},
            default_providers=(self.default_provider,) if self.default_provider else names,
            base_path="/.auth",
            auth_host=None if self.auth_host is None else parse_origin(self.auth_host),
            instance=self.instance,
            clock=self.clock,
            random=secrets.token_bytes,
        )
        self.app = build_web_app(
            LoginServices(
                login=LoginService(self.context),
                hosts=HostResolver(is_known=self.context.is_known_origin),
                resource_metadata=lambda _origin, _path: None,
                jwks=self.signer.jwks,
                client_address=lambda request: (
                    ip_address(request.headers["x-client"])
                    if "x-client" in request.headers
                    else None
                ),
            ),
            base_path="/.auth",
        )

    def _rate_limit_clock(self) -> Callable[[], float]:
        """Set back to where a window began, so that no test meets the next one."""
        behind = self.clock() % self.limits.window
        return lambda: self.clock() - behind

    def _provider(self, name: str, overrides: Mapping[str, Any]) -> OIDCClient:
        defaults: dict[str, Any] = {
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "claims": ClaimRules(),
            "callback": "own",
        }
        settings = ProviderSettings(name=name, **{**defaults, **overrides})
        return OIDCClient(settings, clock=time.time)

    def transport(self) -> httpx2.ASGITransport:
        return httpx2.ASGITransport(app=self.app)

    def browser(self, *more_hosts: str) -> Browser:
        hosts = {AUTH, *APPS, *more_hosts}
        return Browser({host: self.transport() for host in sorted(hosts)})

    async def find_session(
        self, browser: Browser, host: str, provider: str = "corp"
    ) -> Session | None:
        """What the gate would find with the cookies that the browser sends to a host."""
        origin = parse_origin(host)
        name = self.context.cookies.name_for(provider, origin)
        token = browser.cookies(origin.host).get(name)
        return None if token is None else await self.find_session_by_token(token, origin, provider)

    async def find_session_by_token(
        self, token: str, origin: Origin, provider: str = "corp"
    ) -> Session | None:
        scope = self.context.cookies.scope_for(origin)
        return await self.context.sessions.find(token, scope=scope, provider=provider)

    async def aclose(self) -> None:
        for provider in self.context.providers.values():
            await provider.aclose()
        await self.context.sessions.aclose()


@asynccontextmanager
async def running_sign_in(issuer: str, **overrides: Any) -> AsyncIterator[SignInFixture]:
    fixture = SignInFixture(issuer=issuer, **overrides)
    try:
        yield fixture
    finally:
        await fixture.aclose()
