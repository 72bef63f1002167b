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
    LIFETIME_SECONDS,
    Attempt,
    AttemptCookies,
    attempt_id,
)
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import Sessions
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.keys import refresh_lock_key
from authz_sidecar.sessions.store import Entry
from tests.corpus.client import Walker
from tests.corpus.deployment import APP, AUTH, COOKIE, PROVIDER
from tests.corpus.provider import challenge_of
from tests.corpus.vectors import Uninterpretable
from tests.servers.sidecar import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Session
    from tests.corpus.provider import Idp
    from tests.servers.sidecar import Sidecar

PERSONS = frozenset(
    {"alice", "bob", "carol", "mallory", "admin", "root", "nogroups", "lottie"}
    | {"expired", "revoked", "signed-out"}
)
GROUPS = {"admin": ("admins", "staff"), "root": ("admins",), "nogroups": ()}
KEYS = SecretKeys([SECRET_KEY.encode()])
RETIRED_KEYS = SecretKeys([b"a secret that was rotated out long ago"])
LOCKED_SECONDS = 1.0

ODD: dict[str, dict[str, Any]] = {
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
class Flow:
    """A sign-in under way on one of our hosts, and the cookie it has in a browser."""

    attempt: Attempt
    cookie: str

    @property
    def cookie_name(self) -> str:
        return self.cookie.partition("=")[0]


def begun(
    *, host: str = AUTH, return_to: str = f"https://{APP}/landing", age: float = 0, of: str = "corp"
) -> Flow:
    """As `start` begins it."""
    now = time.time() - age
    attempt = Attempt(
        id=attempt_id(now, secrets.token_bytes(6)),
        seed=secrets.token_bytes(32),
        return_to=return_to,
        started_at=now,
        provider=of,
        callback="shared",
    )
    cookies = AttemptCookies(KEYS, base_name=COOKIE.removeprefix("__Host-"))
    origin = parse_origin(f"https://{host}")
    line = cookies.keep(attempt, (), origin=origin, cross_site=False)[0]
    return Flow(attempt=attempt, cookie=line.partition(";")[0])


EXPIRED_SECONDS = LIFETIME_SECONDS + 60.0


@dataclass(kw_only=True)
class People:
    """Cookie values are kept for the next vector, unless `fresh` ones are asked for."""

    sidecar: Sidecar
    idp: Idp
    store: str
    _made: dict[tuple[str, str], str] = field(default_factory=dict)

    def forget(self) -> None:
        self._made.clear()

    def session(self, who: str, *, host: str, fresh: bool = False) -> str:
        name, _, damage = who.partition("|")
        if damage == "retiredkey":
            return asyncio.run(self._stored(name, host, keys=RETIRED_KEYS))
        if fresh or "refresh" in name or (name, host) not in self._made:
            self._made[name, host] = self._token(name, host)
        return damaged(self._made[name, host], damage)

    def _token(self, name: str, host: str) -> str:
        if name in PERSONS:
            return asyncio.run(self._stored(name, host))
        if name == "pending":
            return begun(host=host).cookie.partition("=")[2]
        if name in {"refresh-due", "refresh-locked-stale"}:
            return self._due_for_refresh(host, locked=name == "refresh-locked-stale")
        claims = ODD.get(name)
        if claims is None:
            claim, equals, value = name.partition("=")
            if not equals or claim not in {"name", "email", "sub", "groups"}:
                raise Uninterpretable(f"unknown session `{name}`")
            claims = {claim: _groups(value) if claim == "groups" else _unescaped(value)}
        return self.token_of(self.signed_in(**claims), host)

    def signed_in(
        self, person: str = "alice", *, seconds: int | None = None, **claims: Any
    ) -> Walker:
        """A browser that has been through a sign-in on the central host, whatever came of it."""
        flow = begun()
        code = self.idp.code(
            "ok",
            nonce=flow.attempt.nonce,
            challenge=challenge_of(flow.attempt.verifier),
            person=person,
            **claims,
        )
        if seconds is not None:
            self.idp.refreshable(code, seconds=seconds)
        walker = Walker(sidecar=self.sidecar)
        name, _, value = flow.cookie.partition("=")
        walker.jars[AUTH] = {name: value}
        walker.get(f"https://{AUTH}/.auth/callback?code={code}&state={flow.attempt.state}")
        return walker

    def token_of(self, walker: Walker, host: str) -> str:
        """The cookie of that browser on a host; one of nobody's where the sign-in was refused."""
        if COOKIE not in walker.jars[AUTH]:
            return secrets.token_urlsafe(32)
        if host != AUTH:
            walker.follow(walker.get(f"https://{host}/.auth/start?rd=https://{host}/"), to="")
        return walker.jars[host][COOKIE]

    def end_all(self, who: str) -> None:
        """All sessions of a person, in the store."""
        asyncio.run(self._end_all(identity_of(who, issuer=self.idp.issuer)))

    async def _end_all(self, user: Identity) -> None:
        store = open_store(self.store)
        try:
            await _sessions(store, KEYS).end_user(
                provider=user.provider, issuer=user.issuer, subject=user.subject
            )
        finally:
            await store.aclose()

    def _due_for_refresh(self, host: str, *, locked: bool) -> str:
        walker = self.signed_in(seconds=2)
        token = self.token_of(walker, host)
        if locked:
            asyncio.run(self._locked(token, host))
        time.sleep(1.6)
        return token

    async def _locked(self, token: str, host: str) -> None:
        """Somebody began to refresh it and died."""
        store = open_store(self.store)
        try:
            session = await _sessions(store, KEYS).find(
                token, scope=f"https://{host}", provider=PROVIDER
            )
            assert session is not None
            handle = session.parent or session.handle
            await store.write_new(Entry(refresh_lock_key(handle), b"dead", 3 + LOCKED_SECONDS))
        finally:
            await store.aclose()

    async def _stored(self, name: str, host: str, *, keys: SecretKeys = KEYS) -> str:
        identity = identity_of(name, issuer=self.idp.issuer)
        store = open_store(self.store)
        try:
            sessions = _sessions(store, keys)
            lifetime = 0.01 if name == "expired" else None
            _, parent = await sessions.create(
                identity=identity, scope=f"https://{AUTH}", lifetime=lifetime
            )
            token, session = await sessions.create(
                identity=identity, scope=f"https://{host}", parent=parent, lifetime=lifetime
            )
            await _finish(name, sessions, parent, session)
            return token
        finally:
            await store.aclose()


def identity_of(name: str, *, issuer: str) -> Identity:
    return Identity(
        provider=PROVIDER,
        issuer=issuer,
        subject=name,
        email=f"{name}@example.com",
        name=name.title(),
        groups=GROUPS.get(name, ("staff",)),
    )


def _sessions(store: object, keys: SecretKeys) -> Sessions:
    return Sessions(store=store, secret_keys=keys, lifetime=3600, idle_timeout=600)  # type: ignore[arg-type]


async def _finish(name: str, sessions: Sessions, parent: Session, session: Session) -> None:
    user = session.identity
    if name == "expired":
        await asyncio.sleep(0.02)
    elif name == "signed-out":
        await sessions.end(parent)
    elif name == "revoked":
        await sessions.end_user(provider=user.provider, issuer=user.issuer, subject=user.subject)


def _groups(value: str) -> list[str]:
    if value.isdecimal():
        return [f"group-{number}" for number in range(int(value))]
    return [name for name in value.split(",") if name]


def _unescaped(value: str) -> str:
    r"""`\r` and `\n` are written out, because a vector's own would end its header."""
    return value.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0")


def _last_letter(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "E")


DAMAGES: dict[str, Callable[[str], str]] = {
    "": lambda token: token,
    "flip": _last_letter,
    "lastbyte": _last_letter,
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


def damaged(token: str, damage: str) -> str:
    if damage not in DAMAGES:
        raise Uninterpretable(f"unknown damage `{damage}`")
    return DAMAGES[damage](token)
