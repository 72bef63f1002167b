"""Issuers of tokens on loopback, the tokens they make, and a gate that is asked with them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from authz_sidecar.login.providers import Trust
from authz_sidecar.tokens import Bearers
from authz_sidecar.tokens.dpop import Nonces, thumbprint_of
from authz_sidecar.tokens.introspection import IntrospectedTokens
from authz_sidecar.tokens.jwt import SignedTokens
from authz_sidecar.tokens.settings import Introspection, IssuerSettings
from tests.routes.settings import Settings
from tests.servers.hostile_provider import document
from tests.support.authorizer import APP, KEYS, NOW, House, house
from tests.support.signed_tokens import SigningKey, signing_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.adapters.base import Reply
    from authz_sidecar.core.types import Address
    from authz_sidecar.errors import Throttled
    from authz_sidecar.tokens.bearer import Issuer
    from tests.servers.hostile_provider import Answer, HostileProvider

AUDIENCE = "https://app.example.com"
KEY = signing_key("ES256", "k1")
API = Settings(
    name="api", prefix="/api", allow_any_authenticated_user=True, token_issuers=("ci", "as")
)


def settings(server: HostileProvider, **changes: Any) -> IssuerSettings:
    known: dict[str, Any] = {
        "name": "ci",
        "issuer": server.issuer,
        "audiences": (AUDIENCE,),
        "jwks_uri": f"{server.issuer}/jwks",
    }
    return IssuerSettings(**known | changes)


def introspected(server: HostileProvider, **changes: Any) -> IssuerSettings:
    asked = {
        key: changes.pop(key)
        for key in ("cache", "client_authentication", "require_audience")
        if key in changes
    }
    return settings(
        server,
        **{
            "name": "as",
            "introspection": Introspection(
                endpoint=f"{server.issuer}/introspect",
                client_id="api",
                client_secret="secret/with: all",
                **asked,
            ),
        }
        | changes,
    )


def claims(server: HostileProvider, **changes: object) -> dict[str, object]:
    """Those of a good token; a change to `None` removes one."""
    good: dict[str, object] = {
        "iss": server.issuer,
        "sub": "repo:octo/app",
        "aud": AUDIENCE,
        "exp": int(NOW) + 300,
        "iat": int(NOW),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


@dataclass(kw_only=True)
class Throttling:
    admitted: list[Address | None] = field(default_factory=list)
    refusal: Throttled | None = None

    async def admit(self, client: Address | None) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.admitted.append(client)


@dataclass(kw_only=True)
class Office:
    """A house with issuers beside it."""

    server: HostileProvider
    house: House
    issuers: dict[str, Issuer]
    nonces: Nonces
    throttling: Throttling

    async def ask(self, token: str, *more: tuple[str, str], **options: Any) -> Reply:
        scheme = options.pop("scheme", "Bearer")
        path = options.pop("path", "/api/x")
        line = ("authorization", f"{scheme} {token}")
        return await self.house.ask(f"{APP}{path}", line, *more, **options)

    @property
    def error(self) -> str:
        return self.house.record.error or ""

    async def aclose(self) -> None:
        for issuer in self.issuers.values():
            await issuer.aclose()


def office(
    server: HostileProvider,
    *configured: IssuerSettings,
    routes: Sequence[Settings] = (API,),
    keys: Sequence[SigningKey] = (KEY,),
    **options: Any,
) -> Office:
    if configured == ():
        configured = (settings(server),)
    server.answers.setdefault("/jwks", document({"keys": [key.jwk for key in keys]}))
    throttling = Throttling()
    found: list[House] = []

    def clock() -> float:
        return found[0].now[0]

    class Once:
        async def remember_once(self, key: str, *, ttl: float) -> bool:
            return await found[0].sessions.notes.remember_once(key, ttl=ttl)

    issuers: dict[str, Issuer] = {
        each.name: SignedTokens(each, clock=clock, trust=Trust(each.ca_file))
        if each.introspection is None
        else IntrospectedTokens(
            each, each.introspection, clock=clock, trust=Trust(each.ca_file), throttle=throttling
        )
        for each in configured
    }
    nonces = Nonces(KEYS)
    bearers = Bearers(
        issuers,
        proofs=Once(),
        nonces=nonces,
        clock=clock,
        name=lambda token: sha256(token.encode()).hexdigest()[:12],
    )
    kept = [
        Settings(
            **{
                name: getattr(route, name)
                for name in route.__dataclass_fields__
                if name != "token_issuers"
            },
            token_issuers=tuple(name for name in route.token_issuers if name in issuers),
        )
        for route in routes
    ]
    home = house(
        Settings(name="app", allow_any_authenticated_user=True),
        *kept,
        token_issuers=tuple(issuers),
        credentials=(bearers,),
        **options,
    )
    found.append(home)
    return Office(server=server, house=home, issuers=issuers, nonces=nonces, throttling=throttling)


def introspects(server: HostileProvider, known: dict[str, dict[str, object]]) -> None:
    """Answers for tokens by name, as RFC 7662 section 2.2 wants it."""

    def answer(body: bytes) -> Answer:
        token = parse_qs(body.decode())["token"][0]
        return document({"active": True} | known[token] if token in known else {"active": False})

    server.answers["/introspect"] = answer


def proof(key: SigningKey, token: str, **changes: object) -> str:
    """A DPoP proof for `GET APP/api/x`. `jwk`, `typ` and `alg` are the header's."""
    header: dict[str, object] = {"typ": "dpop+jwt", "jwk": key.jwk | {"kid": None}}
    header["jwk"] = {name: value for name, value in key.jwk.items() if name != "kid"}
    for name in ("typ", "jwk", "kid", "crit"):
        if name in changes:
            header[name] = changes.pop(name)
    said: dict[str, object] = {
        "jti": "proof-1",
        "htm": "GET",
        "htu": f"{APP}/api/x",
        "iat": int(NOW),
        "ath": hashed(token),
    }
    body = {name: value for name, value in (said | changes).items() if value is not None}
    return SigningKey(key.private, key.algorithm, None, key.jwk).sign(body, **header)


def hashed(token: str) -> str:
    return base64.urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()


def bound(key: SigningKey) -> dict[str, str]:
    return {"jkt": thumbprint_of(key.jwk)}


def unsigned(header: dict[str, object], body: dict[str, object], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
