"""A gate with real parts and memory for a store, and the questions that proxies ask it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.base import RawRequest
from authz_sidecar.adapters.registry import adapters
from authz_sidecar.check.authorizer import CheckRecord, Gate
from authz_sidecar.check.cacheability import Repeating
from authz_sidecar.check.responses import Answers
from authz_sidecar.core.types import Identity
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.identity.assertion import AssertionSigner, signing_keys_from
from authz_sidecar.identity.groups import AllGroups
from authz_sidecar.identity.headers import IdentityHeaders, protected_names, templated_names
from authz_sidecar.identity.templates import Templates
from authz_sidecar.policy.certificates import read_certificate
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import MemoryStore, SessionCookies, Sessions
from authz_sidecar.tokens import Callers
from authz_sidecar.web.pages import Pages
from tests.adapters.requests import controllers_question
from tests.routes.settings import Settings, built

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from authz_sidecar.adapters.base import Reply
    from authz_sidecar.core.types import Headers
    from authz_sidecar.sessions import SessionStore
    from authz_sidecar.tokens import CredentialKind

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


def asked(
    url: str = f"{APP}/",
    *headers: tuple[str, str],
    by: str = "traefik",
    method: str = "GET",
    client: str | None = "203.0.113.7",
) -> RawRequest:
    """The question about `url` as proxy `by` asks it; `headers` are the client's own."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    target = f"{slash}{path}"
    known: Headers = () if client is None else (("x-forwarded-for", client),)
    if by == "ingress-nginx":
        facts: Headers = (
            ("host", "127.0.0.1:9180"),
            ("x-original-url", url),
            ("x-original-method", method),
        )
        upgrade = ", ".join(value for name, value in headers if name == "upgrade")
        own = tuple(line for line in headers if line[0] != "upgrade")
        return _raw("GET", controllers_question(host, upgrade=upgrade), (*facts, *known, *own))
    if by == "envoy":
        facts = (("host", host), ("x-forwarded-proto", scheme), ("content-length", "0"))
        return _raw(method, f"/auth/envoy{target}", (*facts, *known, *headers))
    facts = (
        ("host", host if by == "caddy" else "127.0.0.1:9180"),
        ("x-forwarded-method", method),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", host),
        ("x-forwarded-uri", target),
    )
    path = "nginx/challenge" if by == "nginx-challenge" else by
    return _raw("GET", f"/auth/{path}", (*facts, *known, *headers))


def _raw(method: str, target: str, headers: Headers) -> RawRequest:
    return RawRequest(method=method, target=target, headers=headers, peer=PROXY)


PAGES = Pages(base_path="/.auth")
ADAPTERS = {
    adapter.name: adapter
    for adapter in adapters(
        ("nginx", "ingress-nginx", "traefik", "envoy", "caddy", "haproxy")
    ).values()
}
NAMES = tuple(ADAPTERS)


@dataclass(kw_only=True)
class House:
    gate: Gate
    sessions: Sessions
    cookies: SessionCookies
    signer: AssertionSigner
    records: list[CheckRecord]
    ready: set[str]
    now: list[float] = field(default_factory=lambda: [NOW])

    async def ask(
        self,
        url: str = f"{APP}/",
        *headers: tuple[str, str],
        by: str = "traefik",
        method: str = "GET",
        client: str | None = "203.0.113.7",
    ) -> Reply:
        raw = asked(url, *headers, by=by, method=method, client=client)
        return await self.gate.check(ADAPTERS[by], raw)

    async def signed_in(self, identity: Identity = ALICE, *, on: str = APP) -> tuple[str, str]:
        """The Cookie header of somebody who signed in on an origin."""
        origin = parse_origin(on)
        token, _ = await self.sessions.create(
            identity=identity, scope=self.cookies.scope_for(origin)
        )
        return "cookie", f"{self.cookies.name_for(identity.provider, origin)}={token}"

    @property
    def record(self) -> CheckRecord:
        return self.records[-1]


class _Records(list[CheckRecord]):
    def record(self, check: CheckRecord) -> None:
        self.append(check)

    def repeated(self, check: CheckRecord) -> Callable[[float, str], None]:
        return lambda seconds, request_id: self.append(
            replace(check, seconds=seconds, request_id=request_id)
        )


def house(
    *routes: Settings,
    providers: Sequence[str] = ("corp",),
    default_provider: str | None = None,
    store: SessionStore | None = None,
    strip_cookie: bool = True,
    claims: Mapping[str, str] | None = None,
    preset: str = "default",
    nginx_cache: int = 0,
    hops: bool = False,
    token_issuers: Sequence[str] = (),
    credentials: Sequence[CredentialKind] = (),
    **cookies: Any,
) -> House:
    """Everybody's providers are ready until they are taken out of `ready`."""
    found = built(
        *routes,
        providers=providers,
        default_provider=default_provider,
        token_issuers=token_issuers,
    )
    assert not found.problems, found.problems
    now = [NOW]
    session_cookies = SessionCookies(
        name="authz",
        same_site="lax",
        providers=tuple(providers),
        default_provider=default_provider,
        **cookies,
    )
    sessions = Sessions(
        store=MemoryStore(clock=lambda: now[0]) if store is None else store,
        secret_keys=KEYS,
        lifetime=3600,
        idle_timeout=600,
        clock=lambda: now[0],
    )
    claims = claims or {}
    signer = AssertionSigner(
        signing_keys_from(KEYS),
        ttl=300,
        groups=AllGroups(),
        clock=lambda: now[0],
        claims=claims.values(),
    )
    callers = Callers(credentials)
    ready, records, numbers = set(providers), _Records(), itertools.count(1)
    identity_headers = IdentityHeaders(
        preset=preset,
        claims=claims,
        groups=AllGroups(),
        assertion=signer.assertion,
        templates=Templates(assertion=signer.assertion, read_certificate=read_certificate),
        templated=templated_names(found.index.routes),
    )
    answers = Answers(
        cookies=session_cookies,
        strip_cookie=strip_cookie,
        base_path="/.auth",
        identity_headers=identity_headers,
        pages=PAGES,
        provider_ready=ready.__contains__,
        repeating=Repeating(seconds=nginx_cache, clock=lambda: now[0], hops=hops),
        challenges=callers.challenges,
    )
    gate = Gate(
        index=found.index,
        names=protected_names(identity_headers.managed, certificate=None),
        sessions=sessions,
        callers=callers,
        cookies=session_cookies,
        answers=answers,
        recorder=records,
        clock=lambda: now[0],
        timer=lambda: now[0],
        request_id=lambda: f"request-{next(numbers)}",
    )
    return House(
        gate=gate,
        sessions=sessions,
        cookies=session_cookies,
        signer=signer,
        records=records,
        ready=ready,
        now=now,
    )


def header(reply: Reply, name: str) -> str | None:
    """The value of a header that may come once at most."""
    values = [value for key, value in reply.headers if key == name]
    assert len(values) <= 1, values
    return values[0] if values else None
