"""The provider that vectors speak of: it hands out what a code is for, once, and knows PKCE."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.corpus.tokens import TokenFactory
from tests.corpus.vectors import UnsupportedVector
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.servers.providers import CLIENT_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.login.transactions import LoginTransaction

REJECTED_CODES = frozenset({"invalid", "invalid-grant", "expired", "used", "unknown", "x"})


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one code is good for."""

    id_token: str
    subject: str
    challenge: str
    userinfo: dict[str, Any]
    expires_in: int | None = None


@dataclass(kw_only=True)
class CorpusProvider:
    """`redeemed_codes` are the codes it was shown, `used_refresh_tokens` the refresh tokens, in
    order."""

    server: HostileProvider
    token_factory: TokenFactory = field(init=False)
    redeemed_codes: list[str] = field(default_factory=list)
    used_refresh_tokens: list[str] = field(default_factory=list)
    _grants: dict[str, Grant] = field(default_factory=dict)
    _userinfo_by_token: dict[str, dict[str, Any]] = field(default_factory=dict)
    _opaque_tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        issuer = self.server.issuer
        self.token_factory = TokenFactory(issuer=issuer, attacker_url=f"{issuer}/evil")
        self.server.offers(
            userinfo_endpoint=f"{issuer}/userinfo",
            end_session_endpoint=f"{issuer}/end",
            backchannel_logout_supported=True,
        )
        self.server.answers["/jwks"] = document(self.token_factory.jwks)
        self.server.answers["/token"] = self._token_endpoint
        self.server.answers["/introspect"] = self._introspection_endpoint
        self.server.answers["/userinfo"] = lambda _body: self._userinfo_endpoint()
        self.server.answers["/evil"] = document({"keys": [self.token_factory.attacker_key.jwk]})
        self.server.answers["/evil/jwks"] = document(
            {"keys": [self.token_factory.attacker_key.jwk]}
        )

    @property
    def issuer(self) -> str:
        return self.server.issuer

    def issue_code(
        self, kind: str, *, nonce: str, challenge: str, user: str = "alice", **claims: object
    ) -> str:
        """A code of the kind that a vector names, for a sign-in that was begun with these."""
        code = secrets.token_urlsafe(12)
        if kind.replace("_", "-") in REJECTED_CODES:
            return code
        token, userinfo = self._id_token_and_userinfo(kind, nonce=nonce, user=user, claims=claims)
        self._grants[code] = Grant(
            id_token=token, subject=user, challenge=challenge, userinfo=userinfo
        )
        return code

    def issue_code_for(
        self, transaction: LoginTransaction, *, kind: str = "ok", user: str = "alice"
    ) -> str:
        challenge = code_challenge(transaction.verifier)
        return self.issue_code(kind, nonce=transaction.nonce, challenge=challenge, user=user)

    def add_refresh_token(self, code: str, *, seconds: int) -> None:
        """With that code come a refresh token and an access token of so many seconds."""
        self._grants[code] = replace(self._grants[code], expires_in=seconds)

    def issue_opaque_token(self, text: str) -> str:
        """A token of which only we know whose it is; without a scope, nobody's."""
        token = secrets.token_urlsafe(24)
        name, equals, scope = text.partition("=")
        if equals and name != "scope":
            raise UnsupportedVector(f"unknown opaque token `{text}`")
        if equals:
            self._opaque_tokens[token] = {"active": True, "sub": "alice", "scope": scope}
        return token

    @contextlib.contextmanager
    def refusing_refresh(self) -> Iterator[None]:
        """Nothing is refreshed any more: RFC 6749 section 5.2."""
        self.server.answers["/token"] = document({"error": "invalid_grant"}, 400)
        try:
            yield
        finally:
            self.server.answers["/token"] = self._token_endpoint

    def count_attacker_requests(self) -> int:
        return sum(path.startswith("/evil") for _, path, _, _ in self.server.seen)

    def _id_token_and_userinfo(
        self, kind: str, *, nonce: str, user: str, claims: dict[str, object]
    ) -> tuple[str, dict[str, Any]]:
        identity_claims = {"sub": user, "email": f"{user}@example.com", "nonce": nonce}
        id_token_claims = self.token_factory.good_claims(**(identity_claims | claims))
        userinfo = {"sub": id_token_claims.get("sub")}
        match kind.replace("_", "-"):
            case "userinfo-other-sub":
                return self.token_factory.sign(id_token_claims), {"sub": "mallory"}
            case "wrong-nonce":
                id_token_claims["nonce"] = secrets.token_urlsafe(32)
            case "no-nonce" | "missing-nonce":
                del id_token_claims["nonce"]
            case "ok" | "":
                pass
            case _ if kind != user:
                return self.token_factory.make_token(kind, id_token_claims), userinfo
        return self.token_factory.sign(id_token_claims), userinfo

    def _token_endpoint(self, body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        with self._lock:
            if form.get("grant_type") == "refresh_token":
                self.used_refresh_tokens.append(form["refresh_token"])
                access = secrets.token_urlsafe(12)
                self._userinfo_by_token[access] = {"sub": form["refresh_token"].partition(".")[0]}
                return _token_response(
                    access=access, refresh=_next_refresh_token(form), seconds=600
                )
            code = form.get("code", "")
            self.redeemed_codes.append(code)
            grant = self._grants.pop(code, None)
            proof = code_challenge(form.get("code_verifier", ""))
            if grant is None or proof != grant.challenge:
                return document({"error": "invalid_grant"}, 400)
            access = secrets.token_urlsafe(12)
            self._userinfo_by_token[access] = grant.userinfo
            refresh = f"{grant.subject}.0" if grant.expires_in else None
            return _token_response(
                access=access, refresh=refresh, seconds=grant.expires_in, id_token=grant.id_token
            )

    def _introspection_endpoint(self, body: bytes) -> Answer:
        token = parse_qs(body.decode()).get("token", [""])[0]
        token_claims = self._opaque_tokens.get(token)
        if token_claims is None:
            return document({"active": False})
        now = int(time.time())
        issuer_claims = {
            "iss": f"{self.issuer}/opaque",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
        }
        return document(token_claims | issuer_claims)

    def _userinfo_endpoint(self) -> Answer:
        access = self.server.asking.headers.get("authorization", "").removeprefix("Bearer ")
        userinfo = self._userinfo_by_token.get(access)
        return document({"error": "invalid_token"}, 401) if userinfo is None else document(userinfo)


def code_challenge(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _next_refresh_token(form: dict[str, str]) -> str:
    subject, _, number = form["refresh_token"].rpartition(".")
    if not number.isdecimal():
        raise UnsupportedVector("a refresh token that was never given")
    return f"{subject}.{int(number) + 1}"


def _token_response(
    *, access: str, refresh: str | None, seconds: int | None, id_token: str | None = None
) -> Answer:
    parameters = {
        "token_type": "Bearer",
        "access_token": access,
        "refresh_token": refresh,
        "expires_in": seconds,
        "id_token": id_token,
    }
    return document({name: value for name, value in parameters.items() if value is not None})
