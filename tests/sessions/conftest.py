"""Sessions on a store of each kind, with a clock that tests move."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.core.types import Identity, Session
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.cache import NearCache
from authz_sidecar.sessions.cache.invalidation import BOUND_SECONDS
from authz_sidecar.sessions.factory import open_store
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
    near: bool = False
    caches: list[NearCache] = field(default_factory=list)

    def sessions(self, *secrets: bytes, store: SessionStore | None = None) -> Sessions:
        keys = SecretKeys(secrets or (OLD,))
        options: Any = {"secret_keys": keys, "idle_timeout": HOUR, "clock": self.clock}
        if self.near and store is None:
            cache = NearCache(self.store, **options)
            self.caches.append(cache)
            return FoundNear(cache, store=self.store, lifetime=10 * HOUR, **options)
        return Sessions(store=store or self.store, lifetime=10 * HOUR, **options)


class FoundNear(Sessions):
    """Sessions that are found through a near cache, as the gate does. Whoever looks is given the
    time that news take to arrive: these suites are about what is right once they have."""

    def __init__(self, near: NearCache, **options: Any) -> None:
        super().__init__(**options)
        self.near = near
        self._clock_of_tests: Clock = options["clock"]

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        await up_to_date(self.near)
        which: Any = {"scope": scope, "provider": provider}
        peeked = self.near.peek(token, now=self._clock_of_tests(), **which)
        found = await self.near.find(token, **which)
        assert peeked in (None, found)
        again = self.near.peek(token, now=self._clock_of_tests(), **which)
        assert again == found
        return found


async def up_to_date(near: NearCache) -> None:
    """Everything that was done before this has been heard of."""
    near.start()
    coherence, began = near._coherence, time.monotonic()
    while coherence.fresh_until - BOUND_SECONDS <= began:
        await asyncio.sleep(0.001)
        assert time.monotonic() - began < 10, "no news"


@contextlib.asynccontextmanager
async def world_on(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """`near redis` is a Redis whose sessions are found through a near cache."""
    clock = Clock()
    near, _, kind = kind.rpartition(" ")
    if kind != "memory":
        request.getfixturevalue(f"redis_{'server' if kind == 'redis' else 'cluster'}").flush()
    store = open_store(store_url(kind, request), clock=clock)
    world = World(store, clock, near=bool(near))
    yield world
    for cache in world.caches:
        await cache.aclose()
    await store.aclose()


@pytest.fixture(params=["memory", "redis", "cluster"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_on(request.param, request) as world:
        yield world


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
