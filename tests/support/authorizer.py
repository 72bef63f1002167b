"""A gate with real parts and memory for a store, and the questions that proxies ask it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.base import SubRequest
from authz_sidecar.adapters.registry import enabled_adapters
from authz_sidecar.check.authorizer import Authorizer, CheckRecord
from authz_sidecar.check.cacheability import ResponseCacheability
from authz_sidecar.check.responses import ResponseFactory
from authz_sidecar.core.types import Identity
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.identity.assertion import AssertionSigner, derive_signing_keys
from authz_sidecar.identity.groups import AllGroups
from authz_sidecar.identity.headers import IdentityHeaders, protected_names, template_header_names
from authz_sidecar.identity.templates import TemplateRenderer
from authz_sidecar.policy.certificates import read_certificate
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import MemoryStore, SessionCookies, SessionService
from authz_sidecar.tokens import AuthenticatorChain
from authz_sidecar.web.pages import Pages
from tests.adapters.requests import ingress_nginx_target
from tests.routes.settings import RouteSpec, compile_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from authz_sidecar.adapters.base import HttpResponse
    from authz_sidecar.core.types import Headers
    from authz_sidecar.sessions import SessionStore
    from authz_sidecar.tokens import Authenticator

NOW = 1_790_000_000.0
KEYS = SecretKeys([b"0123456789abcdef0123456789abcdef"])
PROXY = ip_address("127.0.0.1")
APP = "https://app.example.com"

HTML = ("accept", "text/html,application/xhtml+xml;q=0.9")
JSON = ("accept", "application/json")
NAVIGATION = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), HTML)

ALICE = Identity(
    provider="corp",
    issuer="https://idp.example.com",
    subject="alice",
    email="alice@example.com",
    name="Alice Adams",
    groups=("eng", "ops"),
    claims={"department": "it"},
)


def raw_request(
    url: str = f"{APP}/",
    *headers: tuple[str, str],
    adapter: str = "traefik",
    method: str = "GET",
    client: str | None = "203.0.113.7",
) -> SubRequest:
    """The question about `url` as proxy `adapter` asks it; `headers` are the client's own."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    target = f"{slash}{path}"
    client_headers: Headers = () if client is None else (("x-forwarded-for", client),)
    if adapter == "ingress-nginx":
        proxy_headers: Headers = (
            ("host", "127.0.0.1:9180"),
            ("x-original-url", url),
            ("x-original-method", method),
        )
        upgrade = ", ".join(value for name, value in headers if name == "upgrade")
        forwarded = tuple(line for line in headers if line[0] != "upgrade")
        return _build_raw_request(
            "GET",
            ingress_nginx_target(host, upgrade=upgrade),
            (*proxy_headers, *client_headers, *forwarded),
        )
    if adapter == "envoy":
        proxy_headers = (("host", host), ("x-forwarded-proto", scheme), ("content-length", "0"))
        return _build_raw_request(
            method, f"/auth/envoy{target}", (*proxy_headers, *client_headers, *headers)
        )
    proxy_headers = (
        ("host", host if adapter == "caddy" else "127.0.0.1:9180"),
        ("x-forwarded-method", method),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", host),
        ("x-forwarded-uri", target),
    )
    path = "nginx/challenge" if adapter == "nginx-challenge" else adapter
    return _build_raw_request("GET", f"/auth/{path}", (*proxy_headers, *client_headers, *headers))


def _build_raw_request(method: str, target: str, headers: Headers) -> SubRequest:
    return SubRequest(method=method, target=target, headers=headers, peer=PROXY)


PAGES = Pages(base_path="/.auth")
ADAPTERS = {
    adapter.name: adapter
    for adapter in enabled_adapters(
        ("nginx", "ingress-nginx", "traefik", "envoy", "caddy", "haproxy")
    ).values()
}
NAMES = tuple(ADAPTERS)


@dataclass(kw_only=True)
class AuthorizerFixture:
    authorizer: Authorizer
    sessions: SessionService
    cookies: SessionCookies
    signer: AssertionSigner
    records: list[CheckRecord]
    ready_providers: set[str]
    now: list[float] = field(default_factory=lambda: [NOW])

    async def check(
        self,
        url: str = f"{APP}/",
        *headers: tuple[str, str],
        adapter: str = "traefik",
        method: str = "GET",
        client: str | None = "203.0.113.7",
    ) -> HttpResponse:
        raw = raw_request(url, *headers, adapter=adapter, method=method, client=client)
        return await self.authorizer.check(ADAPTERS[adapter], raw)

    async def sign_in(
        self, identity: Identity = ALICE, *, origin_url: str = APP
    ) -> tuple[str, str]:
        """The Cookie header of somebody who signed in on an origin."""
        origin = parse_origin(origin_url)
        token, _ = await self.sessions.create(
            identity=identity, scope=self.cookies.scope_for(origin)
        )
        return "cookie", f"{self.cookies.name_for(identity.provider, origin)}={token}"

    @property
    def record(self) -> CheckRecord:
        return self.records[-1]


class _ListRecorder(list[CheckRecord]):
    def record(self, check: CheckRecord) -> None:
        self.append(check)

    def repeat(self, check: CheckRecord) -> Callable[[float, str], None]:
        return lambda seconds, request_id: self.append(
            replace(check, seconds=seconds, request_id=request_id)
        )


def build_authorizer(
    *routes: RouteSpec,
    providers: Sequence[str] = ("corp",),
    default_provider: str | None = None,
    store: SessionStore | None = None,
    strip_cookie: bool = True,
    claims: Mapping[str, str] | None = None,
    preset: str = "default",
    nginx_cache: int = 0,
    hops: bool = False,
    token_issuers: Sequence[str] = (),
    authenticators: Sequence[Authenticator] = (),
    **cookies: Any,
) -> AuthorizerFixture:
    """Everybody's providers are ready until they are taken out of `ready`."""
    compiled = compile_routes(
        *routes,
        providers=providers,
        default_provider=default_provider,
        token_issuers=token_issuers,
    )
    assert not compiled.problems, compiled.problems
    now = [NOW]
    session_cookies = SessionCookies(
        name="authz",
        same_site="lax",
        providers=tuple(providers),
        default_provider=default_provider,
        **cookies,
    )
    sessions = SessionService(
        store=MemoryStore(clock=lambda: now[0]) if store is None else store,
        secret_keys=KEYS,
        lifetime=3600,
        idle_timeout=600,
        clock=lambda: now[0],
    )
    claims = claims or {}
    signer = AssertionSigner(
        derive_signing_keys(KEYS),
        ttl=300,
        group_filter=AllGroups(),
        clock=lambda: now[0],
        extra_claims=claims.values(),
    )
    authenticator_chain = AuthenticatorChain(authenticators)
    ready, records, request_numbers = set(providers), _ListRecorder(), itertools.count(1)
    identity_headers = IdentityHeaders(
        preset=preset,
        claims=claims,
        group_filter=AllGroups(),
        assertion_for=signer.assertion_for,
        templates=TemplateRenderer(
            assertion_for=signer.assertion_for, read_certificate=read_certificate
        ),
        template_headers=template_header_names(compiled.index.routes),
    )
    response_factory = ResponseFactory(
        cookies=session_cookies,
        strip_cookie=strip_cookie,
        base_path="/.auth",
        identity_headers=identity_headers,
        pages=PAGES,
        provider_ready=ready.__contains__,
        cacheability=ResponseCacheability(
            max_seconds=nginx_cache, clock=lambda: now[0], behind_other_proxies=hops
        ),
        challenges=authenticator_chain.challenges,
    )
    gate = Authorizer(
        index=compiled.index,
        names=protected_names(identity_headers.managed_names, certificate=None),
        sessions=sessions,
        authenticators=authenticator_chain,
        cookies=session_cookies,
        responses=response_factory,
        recorder=records,
        clock=lambda: now[0],
        timer=lambda: now[0],
        request_id=lambda: f"request-{next(request_numbers)}",
    )
    return AuthorizerFixture(
        authorizer=gate,
        sessions=sessions,
        cookies=session_cookies,
        signer=signer,
        records=records,
        ready_providers=ready,
        now=now,
    )


def header(reply: HttpResponse, name: str) -> str | None:
    """The value of a header that may come once at most."""
    values = [value for key, value in reply.headers if key == name]
    assert len(values) <= 1, values
    return values[0] if values else None
