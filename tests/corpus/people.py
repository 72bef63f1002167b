"""People with sessions, as vectors speak of them: `alice`, `name=Zoë`, `expired`, `alice|flip`.

Those about whom nothing is odd get theirs from the store; whoever has odd claims, or tokens that
run out, signs in.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.core.types import Identity
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.transactions import (
    MAX_AGE_SECONDS,
    LoginTransaction,
    TransactionCookies,
    transaction_id,
)
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.keys import refresh_lock_key
from authz_sidecar.sessions.store import StoreEntry
from tests.corpus.client import CookieBrowser
from tests.corpus.deployment import APP, AUTH, COOKIE, PROVIDER
from tests.corpus.provider import code_challenge
from tests.corpus.vectors import UnsupportedVector
from tests.servers.sidecar import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Session
    from tests.corpus.provider import CorpusProvider
    from tests.servers.sidecar import Sidecar

USER_NAMES = frozenset(
    {"alice", "bob", "carol", "mallory", "admin", "root", "nogroups", "lottie"}
    | {"expired", "revoked", "signed-out"}
)
GROUPS = {"admin": ("admins", "staff"), "root": ("admins",), "nogroups": ()}
KEYS = SecretKeys([SECRET_KEY.encode()])
RETIRED_KEYS = SecretKeys([b"a secret that was rotated out long ago"])
LOCK_SECONDS = 1.0

UNUSUAL_CLAIMS: dict[str, dict[str, Any]] = {
    "weird-types": {"sub": 7, "groups": "admins", "email": ["alice@example.com"]},
    "groups-overage": {
        "groups": None,
        "_claim_names": {"groups": "far"},
        "_claim_sources": {"far": {"endpoint": "https://evil.example/groups"}},
    },
    "unverified": {"email_verified": False},
}
"""What the provider says of these people."""


@dataclass(frozen=True, kw_only=True)
class PendingSignIn:
    """A sign-in under way on one of our hosts, and the cookie it has in a browser."""

    transaction: LoginTransaction
    cookie: str

    @property
    def cookie_name(self) -> str:
        return self.cookie.partition("=")[0]


def begin_sign_in(
    *,
    host: str = AUTH,
    return_to: str = f"https://{APP}/landing",
    age: float = 0,
    provider: str = "corp",
) -> PendingSignIn:
    """As `start` begins it."""
    now = time.time() - age
    transaction = LoginTransaction(
        id=transaction_id(now, secrets.token_bytes(6)),
        secret=secrets.token_bytes(32),
        return_to=return_to,
        started_at=now,
        provider=provider,
        callback="shared",
    )
    cookies = TransactionCookies(KEYS, base_name=COOKIE.removeprefix("__Host-"))
    origin = parse_origin(f"https://{host}")
    line = cookies.keep(transaction, (), origin=origin, cross_site=False)[0]
    return PendingSignIn(transaction=transaction, cookie=line.partition(";")[0])


EXPIRED_AGE_SECONDS = MAX_AGE_SECONDS + 60.0


@dataclass(kw_only=True)
class UserSessions:
    """Cookie values are kept for the next vector, unless `fresh` ones are asked for."""

    sidecar: Sidecar
    provider: CorpusProvider
    store_url: str
    _cookies: dict[tuple[str, str], str] = field(default_factory=dict)

    def clear(self) -> None:
        self._cookies.clear()

    def session_cookie(self, spec: str, *, host: str, fresh: bool = False) -> str:
        name, _, mutation = spec.partition("|")
        if mutation == "retiredkey":
            return asyncio.run(self._store_session(name, host, keys=RETIRED_KEYS))
        if fresh or "refresh" in name or (name, host) not in self._cookies:
            self._cookies[name, host] = self._create_cookie(name, host)
        return mutate_token(self._cookies[name, host], mutation)

    def _create_cookie(self, name: str, host: str) -> str:
        if name in USER_NAMES:
            return asyncio.run(self._store_session(name, host))
        if name == "pending":
            return begin_sign_in(host=host).cookie.partition("=")[2]
        if name in {"refresh-due", "refresh-locked-stale"}:
            return self._due_for_refresh(host, locked=name == "refresh-locked-stale")
        claims = UNUSUAL_CLAIMS.get(name)
        if claims is None:
            claim, equals, value = name.partition("=")
            if not equals or claim not in {"name", "email", "sub", "groups"}:
                raise UnsupportedVector(f"unknown session `{name}`")
            claims = {claim: _parse_groups(value) if claim == "groups" else _unescape(value)}
        return self.browser_cookie(self.sign_in(**claims), host)

    def sign_in(
        self, user: str = "alice", *, seconds: int | None = None, **claims: Any
    ) -> CookieBrowser:
        """A browser that has been through a sign-in on the central host, whatever came of it."""
        pending = begin_sign_in()
        code = self.provider.issue_code(
            "ok",
            nonce=pending.transaction.nonce,
            challenge=code_challenge(pending.transaction.verifier),
            user=user,
            **claims,
        )
        if seconds is not None:
            self.provider.add_refresh_token(code, seconds=seconds)
        browser = CookieBrowser(sidecar=self.sidecar)
        name, _, value = pending.cookie.partition("=")
        browser.jars[AUTH] = {name: value}
        browser.get(f"https://{AUTH}/.auth/callback?code={code}&state={pending.transaction.state}")
        return browser

    def browser_cookie(self, browser: CookieBrowser, host: str) -> str:
        """The cookie of that browser on a host; one of nobody's where the sign-in was refused."""
        if COOKIE not in browser.jars[AUTH]:
            return secrets.token_urlsafe(32)
        if host != AUTH:
            browser.follow(
                browser.get(f"https://{host}/.auth/start?rd=https://{host}/"), last_path=""
            )
        return browser.jars[host][COOKIE]

    def end_all(self, who: str) -> None:
        """All sessions of a person, in the store."""
        asyncio.run(self._end_all(build_identity(who, issuer=self.provider.issuer)))

    async def _end_all(self, user: Identity) -> None:
        store = open_store(self.store_url)
        try:
            await _open_sessions(store, KEYS).end_user(
                provider=user.provider, issuer=user.issuer, subject=user.subject
            )
        finally:
            await store.aclose()

    def _due_for_refresh(self, host: str, *, locked: bool) -> str:
        browser = self.sign_in(seconds=2)
        token = self.browser_cookie(browser, host)
        if locked:
            asyncio.run(self._hold_refresh_lock(token, host))
        time.sleep(1.6)
        return token

    async def _hold_refresh_lock(self, token: str, host: str) -> None:
        """Somebody began to refresh it and died."""
        store = open_store(self.store_url)
        try:
            session = await _open_sessions(store, KEYS).find(
                token, scope=f"https://{host}", provider=PROVIDER
            )
            assert session is not None
            handle = session.parent_id or session.public_id
            await store.write_if_absent(
                StoreEntry(refresh_lock_key(handle), b"dead", 3 + LOCK_SECONDS)
            )
        finally:
            await store.aclose()

    async def _store_session(self, name: str, host: str, *, keys: SecretKeys = KEYS) -> str:
        identity = build_identity(name, issuer=self.provider.issuer)
        store = open_store(self.store_url)
        try:
            sessions = _open_sessions(store, keys)
            lifetime = 0.01 if name == "expired" else None
            _, parent = await sessions.create(
                identity=identity, scope=f"https://{AUTH}", lifetime=lifetime
            )
            token, session = await sessions.create(
                identity=identity, scope=f"https://{host}", parent=parent, lifetime=lifetime
            )
            await _apply_state(name, sessions, parent, session)
            return token
        finally:
            await store.aclose()


def build_identity(name: str, *, issuer: str) -> Identity:
    return Identity(
        provider=PROVIDER,
        issuer=issuer,
        subject=name,
        email=f"{name}@example.com",
        name=name.title(),
        groups=GROUPS.get(name, ("staff",)),
    )


def _open_sessions(store: object, keys: SecretKeys) -> SessionService:
    return SessionService(store=store, secret_keys=keys, lifetime=3600, idle_timeout=600)  # type: ignore[arg-type]


async def _apply_state(
    name: str, sessions: SessionService, parent: Session, session: Session
) -> None:
    user = session.identity
    if name == "expired":
        await asyncio.sleep(0.02)
    elif name == "signed-out":
        await sessions.end(parent)
    elif name == "revoked":
        await sessions.end_user(provider=user.provider, issuer=user.issuer, subject=user.subject)


def _parse_groups(value: str) -> list[str]:
    if value.isdecimal():
        return [f"group-{number}" for number in range(int(value))]
    return [name for name in value.split(",") if name]


def _unescape(value: str) -> str:
    r"""`\r` and `\n` are written out, because a vector's own would end its header."""
    return value.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0")


def _change_last_character(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "E")


MUTATIONS: dict[str, Callable[[str], str]] = {
    "": lambda token: token,
    "flip": _change_last_character,
    "lastbyte": _change_last_character,
    "truncated": lambda token: token[:-4],
    "octal": lambda token: "".join(f"\\{ord(letter):03o}" for letter in token),
    "part0": lambda token: token[: len(token) // 2],
    "part1": lambda token: token[len(token) // 2 :],
    "exp+1y": lambda token: f"{token}.{int(time.time()) + 365 * 86400}",
    "upper": str.upper,
    "lower": str.lower,
    "swapcase": str.swapcase,
    "padded": lambda token: f"{token}=",
    "doubled": lambda token: token * 2,
}


def mutate_token(token: str, mutation: str) -> str:
    if mutation not in MUTATIONS:
        raise UnsupportedVector(f"unknown damage `{mutation}`")
    return MUTATIONS[mutation](token)
