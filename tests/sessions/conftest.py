"""Sessions on a store of each kind, with a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.types import Identity, Session
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.opening import open_store
from authz_sidecar.sessions.service import Sessions
from tests.sessions.stores import store_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_sidecar.sessions.store import SessionStore

OLD, NEW = b"o" * 32, b"n" * 32
HOUR = 3600.0
AUTH, APP, WIKI = "https://auth.example.com", "https://app.example.com", "https://wiki.example.com"

ALICE = Identity(
    provider="corp",
    issuer="https://idp.example.com",
    subject="alice",
    email="alice@example.com",
    groups=("eng",),
    claims={"sub": "alice", "department": "engineering"},
)
BOB = replace(ALICE, subject="bob", email="bob@example.com")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class World:
    """A store, and as many replicas on it as a test wants."""

    store: SessionStore
    clock: Clock = field(default_factory=Clock)

    def sessions(self, *secrets: bytes, store: SessionStore | None = None) -> Sessions:
        return Sessions(
            store=store or self.store,
            secret_keys=SecretKeys(secrets or (OLD,)),
            lifetime=10 * HOUR,
            idle_timeout=HOUR,
            clock=self.clock,
        )


@pytest.fixture(params=["memory", "redis", "cluster"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    clock = Clock()
    if request.param != "memory":
        request.getfixturevalue(
            f"redis_{'server' if request.param == 'redis' else 'cluster'}"
        ).flush()
    store = open_store(store_url(request.param, request), clock=clock)
    yield World(store, clock)
    await store.aclose()


@pytest.fixture
def sessions(world: World) -> Sessions:
    return world.sessions()


async def sign_in(sessions: Sessions, scope: str = AUTH, **options: Any) -> tuple[str, Session]:
    options = {"identity": ALICE, "provider_session": "sid-1", **options}
    return await sessions.create(scope=scope, **options)


async def child(
    sessions: Sessions, parent: Session, scope: str = APP, **options: Any
) -> tuple[str, Session]:
    return await sessions.create(identity=parent.identity, scope=scope, parent=parent, **options)


async def lives(sessions: Sessions, token: str, scope: str = AUTH) -> bool:
    return await sessions.find(token, scope=scope, provider="corp") is not None
