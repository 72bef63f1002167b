"""Issuers of tokens on loopback, the tokens they make, and a gate that is asked with them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from authz_sidecar.login.providers import TLSContext
from authz_sidecar.tokens import AccessTokenAuthenticator
from authz_sidecar.tokens.dpop import DPoPNonces, jwk_thumbprint
from authz_sidecar.tokens.introspection import TokenIntrospector
from authz_sidecar.tokens.jwt import JWTVerifier
from authz_sidecar.tokens.settings import IntrospectionSettings, IssuerSettings
from tests.routes.settings import RouteSpec
from tests.servers.hostile_provider import document
from tests.support.authorizer import APP, KEYS, NOW, AuthorizerFixture, build_authorizer
from tests.support.signed_tokens import SigningKey, signing_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.adapters.base import HttpResponse
    from authz_sidecar.core.types import Address
    from authz_sidecar.errors import RateLimited
    from authz_sidecar.tokens.bearer import AccessTokenVerifier
    from tests.servers.hostile_provider import Answer, HostileProvider

AUDIENCE = "https://app.example.com"
KEY = signing_key("ES256", "k1")
API = RouteSpec(
    name="api", prefix="/api", allow_any_authenticated_user=True, token_issuers=("ci", "as")
)


def issuer_settings(server: HostileProvider, **changes: Any) -> IssuerSettings:
    defaults: dict[str, Any] = {
        "name": "ci",
        "issuer": server.issuer,
        "audiences": (AUDIENCE,),
        "jwks_uri": f"{server.issuer}/jwks",
    }
    return IssuerSettings(**defaults | changes)


def introspection_settings(server: HostileProvider, **changes: Any) -> IssuerSettings:
    options = {
        key: changes.pop(key)
        for key in ("cache_seconds", "client_authentication", "require_audience")
        if key in changes
    }
    return issuer_settings(
        server,
        **{
            "name": "as",
            "introspection": IntrospectionSettings(
                endpoint=f"{server.issuer}/introspect",
                client_id="api",
                client_secret="secret/with: all",
                **options,
            ),
        }
        | changes,
    )


def claims(server: HostileProvider, **changes: object) -> dict[str, object]:
    """Those of a good token; a change to `None` removes one."""
    defaults: dict[str, object] = {
        "iss": server.issuer,
        "sub": "repo:octo/app",
        "aud": AUDIENCE,
        "exp": int(NOW) + 300,
        "iat": int(NOW),
    }
    return {name: value for name, value in (defaults | changes).items() if value is not None}


@dataclass(kw_only=True)
class FakeRateLimiter:
    admitted: list[Address | None] = field(default_factory=list)
    error: RateLimited | None = None

    async def admit(self, client: Address | None) -> None:
        if self.error is not None:
            raise self.error
        self.admitted.append(client)


@dataclass(kw_only=True)
class TokenFixture:
    """A house with issuers beside it."""

    server: HostileProvider
    authorizer_fixture: AuthorizerFixture
    issuers: dict[str, AccessTokenVerifier]
    nonces: DPoPNonces
    rate_limiter: FakeRateLimiter

    async def check(self, token: str, *headers: tuple[str, str], **options: Any) -> HttpResponse:
        scheme = options.pop("scheme", "Bearer")
        path = options.pop("path", "/api/x")
        authorization = ("authorization", f"{scheme} {token}")
        return await self.authorizer_fixture.check(
            f"{APP}{path}", authorization, *headers, **options
        )

    @property
    def error(self) -> str:
        return self.authorizer_fixture.record.error or ""

    async def aclose(self) -> None:
        for issuer in self.issuers.values():
            await issuer.aclose()


def build_token_fixture(
    server: HostileProvider,
    *issuer_configs: IssuerSettings,
    routes: Sequence[RouteSpec] = (API,),
    keys: Sequence[SigningKey] = (KEY,),
    **options: Any,
) -> TokenFixture:
    if issuer_configs == ():
        issuer_configs = (issuer_settings(server),)
    server.answers.setdefault("/jwks", document({"keys": [key.jwk for key in keys]}))
    rate_limiter = FakeRateLimiter()
    fixtures: list[AuthorizerFixture] = []

    def clock() -> float:
        return fixtures[0].now[0]

    class ReplayGuard:
        async def mark_used(self, key: str, *, ttl: float) -> bool:
            return await fixtures[0].sessions.one_time.mark_used(key, ttl=ttl)

    issuers: dict[str, AccessTokenVerifier] = {
        each.name: JWTVerifier(each, clock=clock, tls_context=TLSContext(each.ca_file))
        if each.introspection is None
        else TokenIntrospector(
            each,
            each.introspection,
            clock=clock,
            tls_context=TLSContext(each.ca_file),
            rate_limiter=rate_limiter,
        )
        for each in issuer_configs
    }
    nonces = DPoPNonces(KEYS)
    bearers = AccessTokenAuthenticator(
        issuers,
        replay_guard=ReplayGuard(),
        nonces=nonces,
        clock=clock,
        fingerprint=lambda token: sha256(token.encode()).hexdigest()[:12],
    )
    enabled_routes = [
        RouteSpec(
            **{
                name: getattr(route, name)
                for name in route.__dataclass_fields__
                if name != "token_issuers"
            },
            token_issuers=tuple(name for name in route.token_issuers if name in issuers),
        )
        for route in routes
    ]
    fixture = build_authorizer(
        RouteSpec(name="app", allow_any_authenticated_user=True),
        *enabled_routes,
        token_issuers=tuple(issuers),
        authenticators=(bearers,),
        **options,
    )
    fixtures.append(fixture)
    return TokenFixture(
        server=server,
        authorizer_fixture=fixture,
        issuers=issuers,
        nonces=nonces,
        rate_limiter=rate_limiter,
    )


def serve_introspection(
    server: HostileProvider, claims_by_token: dict[str, dict[str, object]]
) -> None:
    """Answers for tokens by name, as RFC 7662 section 2.2 wants it."""

    def answer(body: bytes) -> Answer:
        token = parse_qs(body.decode())["token"][0]
        return document(
            {"active": True} | claims_by_token[token]
            if token in claims_by_token
            else {"active": False}
        )

    server.answers["/introspect"] = answer


def dpop_proof(key: SigningKey, token: str, **changes: object) -> str:
    """A DPoP proof for `GET APP/api/x`. `jwk`, `typ` and `alg` are the header's."""
    header: dict[str, object] = {"typ": "dpop+jwt", "jwk": key.jwk | {"kid": None}}
    header["jwk"] = {name: value for name, value in key.jwk.items() if name != "kid"}
    for name in ("typ", "jwk", "kid", "crit"):
        if name in changes:
            header[name] = changes.pop(name)
    defaults: dict[str, object] = {
        "jti": "proof-1",
        "htm": "GET",
        "htu": f"{APP}/api/x",
        "iat": int(NOW),
        "ath": access_token_hash(token),
    }
    body = {name: value for name, value in (defaults | changes).items() if value is not None}
    return SigningKey(key.private, key.algorithm, None, key.jwk).sign(body, **header)


def access_token_hash(token: str) -> str:
    return base64.urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()


def key_confirmation(key: SigningKey) -> dict[str, str]:
    return {"jkt": jwk_thumbprint(key.jwk)}


def unsigned_jwt(header: dict[str, object], body: dict[str, object], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
