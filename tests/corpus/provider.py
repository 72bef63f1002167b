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

from tests.corpus.tokens import Mint
from tests.corpus.vectors import Uninterpretable
from tests.servers.hostile_provider import Answer, HostileProvider, document
from tests.servers.providers import CLIENT_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.login.transactions import Attempt

REFUSED = frozenset({"invalid", "invalid-grant", "expired", "used", "unknown", "x"})


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one code is good for."""

    id_token: str
    subject: str
    challenge: str
    userinfo: dict[str, Any]
    lifetime: int | None = None


@dataclass(kw_only=True)
class Idp:
    """`redeemed` are the codes it was shown, `refreshed` the refresh tokens, in order."""

    provider: HostileProvider
    mint: Mint = field(init=False)
    redeemed: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    _grants: dict[str, Grant] = field(default_factory=dict)
    _userinfo: dict[str, dict[str, Any]] = field(default_factory=dict)
    _opaque: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        issuer = self.provider.issuer
        self.mint = Mint(issuer=issuer, evil=f"{issuer}/evil")
        self.provider.offers(
            userinfo_endpoint=f"{issuer}/userinfo",
            end_session_endpoint=f"{issuer}/end",
            backchannel_logout_supported=True,
        )
        self.provider.answers["/jwks"] = document(self.mint.published)
        self.provider.answers["/token"] = self._token
        self.provider.answers["/introspect"] = self._introspected
        self.provider.answers["/userinfo"] = lambda _body: self._about()
        self.provider.answers["/evil"] = document({"keys": [self.mint.attackers.jwk]})
        self.provider.answers["/evil/jwks"] = document({"keys": [self.mint.attackers.jwk]})

    @property
    def issuer(self) -> str:
        return self.provider.issuer

    def code(
        self, kind: str, *, nonce: str, challenge: str, person: str = "alice", **claims: object
    ) -> str:
        """A code of the kind that a vector names, for a sign-in that was begun with these."""
        code = secrets.token_urlsafe(12)
        if kind.replace("_", "-") in REFUSED:
            return code
        token, userinfo = self._told(kind, nonce=nonce, person=person, claims=claims)
        self._grants[code] = Grant(
            id_token=token, subject=person, challenge=challenge, userinfo=userinfo
        )
        return code

    def code_for(self, attempt: Attempt, *, kind: str = "ok", person: str = "alice") -> str:
        challenge = challenge_of(attempt.verifier)
        return self.code(kind, nonce=attempt.nonce, challenge=challenge, person=person)

    def refreshable(self, code: str, *, seconds: int) -> None:
        """With that code come a refresh token and an access token of so many seconds."""
        self._grants[code] = replace(self._grants[code], lifetime=seconds)

    def opaque(self, text: str) -> str:
        """A token of which only we know whose it is; without a scope, nobody's."""
        token = secrets.token_urlsafe(24)
        name, equals, scope = text.partition("=")
        if equals and name != "scope":
            raise Uninterpretable(f"unknown opaque token `{text}`")
        if equals:
            self._opaque[token] = {"active": True, "sub": "alice", "scope": scope}
        return token

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Nothing is refreshed any more: RFC 6749 section 5.2."""
        self.provider.answers["/token"] = document({"error": "invalid_grant"}, 400)
        try:
            yield
        finally:
            self.provider.answers["/token"] = self._token

    def asked_for_evil(self) -> int:
        return sum(path.startswith("/evil") for _, path, _, _ in self.provider.seen)

    def _told(
        self, kind: str, *, nonce: str, person: str, claims: dict[str, object]
    ) -> tuple[str, dict[str, Any]]:
        about = {"sub": person, "email": f"{person}@example.com", "nonce": nonce}
        good = self.mint.good(**(about | claims))
        userinfo = {"sub": good.get("sub")}
        match kind.replace("_", "-"):
            case "userinfo-other-sub":
                return self.mint.signed(good), {"sub": "mallory"}
            case "wrong-nonce":
                good["nonce"] = secrets.token_urlsafe(32)
            case "no-nonce" | "missing-nonce":
                del good["nonce"]
            case "ok" | "":
                pass
            case _ if kind != person:
                return self.mint.made(kind, good), userinfo
        return self.mint.signed(good), userinfo

    def _token(self, body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        with self._lock:
            if form.get("grant_type") == "refresh_token":
                self.refreshed.append(form["refresh_token"])
                access = secrets.token_urlsafe(12)
                self._userinfo[access] = {"sub": form["refresh_token"].partition(".")[0]}
                return _tokens(access=access, refresh=_refresh_token(form), seconds=600)
            code = form.get("code", "")
            self.redeemed.append(code)
            grant = self._grants.pop(code, None)
            proof = challenge_of(form.get("code_verifier", ""))
            if grant is None or proof != grant.challenge:
                return document({"error": "invalid_grant"}, 400)
            access = secrets.token_urlsafe(12)
            self._userinfo[access] = grant.userinfo
            refresh = f"{grant.subject}.0" if grant.lifetime else None
            return _tokens(
                access=access, refresh=refresh, seconds=grant.lifetime, id_token=grant.id_token
            )

    def _introspected(self, body: bytes) -> Answer:
        token = parse_qs(body.decode()).get("token", [""])[0]
        found = self._opaque.get(token)
        if found is None:
            return document({"active": False})
        now = int(time.time())
        who = {"iss": f"{self.issuer}/opaque", "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        return document(found | who)

    def _about(self) -> Answer:
        access = self.provider.asking.headers.get("authorization", "").removeprefix("Bearer ")
        found = self._userinfo.get(access)
        return document({"error": "invalid_token"}, 401) if found is None else document(found)


def challenge_of(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _refresh_token(form: dict[str, str]) -> str:
    subject, _, number = form["refresh_token"].rpartition(".")
    if not number.isdecimal():
        raise Uninterpretable("a refresh token that was never given")
    return f"{subject}.{int(number) + 1}"


def _tokens(
    *, access: str, refresh: str | None, seconds: int | None, id_token: str | None = None
) -> Answer:
    given = {
        "token_type": "Bearer",
        "access_token": access,
        "refresh_token": refresh,
        "expires_in": seconds,
        "id_token": id_token,
    }
    return document({name: value for name, value in given.items() if value is not None})
