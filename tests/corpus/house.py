"""The house that the bypass vectors are written for: its hosts and rules, and people with sessions.

`/boom` cannot be built as written: nothing in a compiled policy fails at request time, and one that
does not compile starts no server. It is a place for admins here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from authz_sidecar.core.types import Identity
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import Sessions
from authz_sidecar.sessions.opening import open_store
from tests.corpus.vectors import Uninterpretable
from tests.servers.providers import CLIENT_ID, CLIENT_SECRET
from tests.servers.sidecar import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.core.types import Session

APP, ADMIN, AUTH = "app.example.com", "admin.example.com", "auth.example.com"
HOSTS = (APP, ADMIN, AUTH)
COOKIE = "__Host-authz"
PROVIDER = "corp"
TRUSTED, UNTRUSTED = "127.0.0.1", "127.0.0.2"

SIGNED_IN = {"authenticated_user": True}
ACCEPT = {"accept": True}
NOT_FROM_LAB = {"source_ip": "198.51.100.0/24"}

PERSONS = frozenset(
    {"alice", "bob", "carol", "mallory", "admin", "root", "nogroups", "groups-overage"}
    | {"expired", "revoked", "signed-out"}
)
GROUPS = {"admin": ("admins", "staff"), "root": ("admins",), "nogroups": (), "groups-overage": ()}


def configuration(*, issuer: str, store: str) -> dict[str, object]:
    return {
        "server": {"auth_host": f"https://{AUTH}", "trusted_proxies": [f"{TRUSTED}/32"]},
        "sessions": {"store": store},
        "identity_providers": {
            PROVIDER: {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        },
        "headers": {"groups": "all"},
        "routes": [
            _route("public", "/public/", _allow({"http_method": {"in": ["GET", "HEAD"]}})),
            _route("admin", "/admin", _allow_admins(), paths="ignore_case"),
            _route("office-only", "/office-only", _allow({"source_ip": "10.0.0.0/8"})),
            _route(
                "not-from-lab",
                "/not-from-lab",
                [{"allow": {"or": [ACCEPT]}}, {"deny": {"or": [NOT_FROM_LAB]}}],
            ),
            _route("api", "/api/", _allow()),
            _route("boom", "/boom", _allow_admins()),
            _route(
                "overlap", "/overlap", [{"allow": {"or": [ACCEPT]}}, {"deny": {"or": [ACCEPT]}}]
            ),
            _route("rest", "/", _allow()),
            {"name": "admin-host", "from": f"https://{ADMIN}", "policy": _allow_admins()},
        ],
    }


def _route(name: str, prefix: str, policy: object, **more: str) -> dict[str, object]:
    return {"name": name, "from": f"https://{APP}", "prefix": prefix, "policy": policy, **more}


def _allow(*criteria: object) -> object:
    """To whom a criterion applies, and to everybody who is signed in."""
    return [{"allow": {"or": [*criteria, SIGNED_IN]}}]


def _allow_admins() -> object:
    return [{"allow": {"and": [{"groups": {"has": "admins"}}]}}]


@dataclass(kw_only=True)
class People:
    """Makes the sessions that vectors speak of, in the store of the running sidecar."""

    issuer: str
    store: str
    _made: dict[tuple[str, str], str] = field(default_factory=dict)

    def session(self, who: str, *, host: str) -> str:
        """The cookie value for `alice`, `name=Zoë`, `expired`, `alice|flip`, ..."""
        name, _, damage = who.partition("|")
        if (name, host) not in self._made:
            self._made[name, host] = asyncio.run(self._make(name, host))
        return damaged(self._made[name, host], damage)

    def identity(self, name: str) -> Identity:
        key, equals, value = name.partition("=")
        subject = "alice" if equals else name
        known = Identity(
            provider=PROVIDER,
            issuer=self.issuer,
            subject=subject,
            email=f"{subject}@example.com",
            name=subject.title(),
            groups=GROUPS.get(name, ("staff",)),
        )
        if not equals and name in PERSONS:
            return known
        match key:
            case "name":
                return replace(known, name=value)
            case "email":
                return replace(known, email=value)
            case "sub" if value:
                return replace(known, subject=value)
            case "groups" if value:
                many = map("group-{}".format, range(int(value))) if value.isdecimal() else None
                return replace(known, groups=tuple(many or value.split(",")))
            case _:
                raise Uninterpretable(f"unknown session `{name}`")

    async def _make(self, name: str, host: str) -> str:
        identity = self.identity(name)
        store = open_store(self.store)
        try:
            sessions = Sessions(
                store=store,
                secret_keys=SecretKeys([SECRET_KEY.encode()]),
                lifetime=3600,
                idle_timeout=600,
            )
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


async def _finish(name: str, sessions: Sessions, parent: Session, session: Session) -> None:
    user = session.identity
    if name == "expired":
        await asyncio.sleep(0.02)
    elif name == "signed-out":
        await sessions.end(parent)
    elif name == "revoked":
        await sessions.end_user(provider=user.provider, issuer=user.issuer, subject=user.subject)


DAMAGES: dict[str, Callable[[str], str]] = {
    "": lambda token: token,
    "flip": lambda token: token[:-1] + ("A" if token[-1] != "A" else "E"),
    "lastbyte": lambda token: token[:-1] + ("A" if token[-1] != "A" else "E"),
    "truncated": lambda token: token[:-4],
    "octal": lambda token: "".join(f"\\{ord(letter):03o}" for letter in token),
}


def damaged(token: str, damage: str) -> str:
    if damage not in DAMAGES:
        raise Uninterpretable(f"unknown damage `{damage}`")
    return DAMAGES[damage](token)
