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
from authz_sidecar.sessions.cache.invalidation import MAX_STALENESS_SECONDS
from authz_sidecar.sessions.factory import open_store
from authz_sidecar.sessions.service import SessionService
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
class StoreFixture:
    """A store, and as many replicas on it as a test wants."""

    store: SessionStore
    clock: Clock = field(default_factory=Clock)
    uses_near_cache: bool = False
    caches: list[NearCache] = field(default_factory=list)

    def sessions(self, *secrets: bytes, store: SessionStore | None = None) -> SessionService:
        keys = SecretKeys(secrets or (OLD,))
        options: Any = {"secret_keys": keys, "idle_timeout": HOUR, "clock": self.clock}
        if self.uses_near_cache and store is None:
            cache = NearCache(self.store, **options)
            self.caches.append(cache)
            return CachedSessions(cache, store=self.store, lifetime=10 * HOUR, **options)
        return SessionService(store=store or self.store, lifetime=10 * HOUR, **options)


class CachedSessions(SessionService):
    """Sessions that are found through a near cache, as the gate does. Whoever looks is given the
    time that news take to arrive: these suites are about what is right once they have."""

    def __init__(self, cache: NearCache, **options: Any) -> None:
        super().__init__(**options)
        self.cache = cache
        self._test_clock: Clock = options["clock"]

    async def find(self, token: str, *, scope: str, provider: str) -> Session | None:
        await wait_for_invalidations(self.cache)
        lookup: Any = {"scope": scope, "provider": provider}
        before = self.cache.lookup(token, now=self._test_clock(), **lookup)
        session = await self.cache.find(token, **lookup)
        assert before is None or before.session == session
        after = self.cache.lookup(token, now=self._test_clock(), **lookup)
        assert (after and after.session) == session
        return session


async def wait_for_invalidations(cache: NearCache) -> None:
    """Everything that was done before this has been heard of."""
    cache.start()
    coherence, started = cache._coherence, time.monotonic()
    while coherence.fresh_until - MAX_STALENESS_SECONDS <= started:
        await asyncio.sleep(0.001)
        assert time.monotonic() - started < 10, "no news"


@contextlib.asynccontextmanager
async def open_store_fixture(
    kind: str, request: pytest.FixtureRequest
) -> AsyncIterator[StoreFixture]:
    """`uses_near_cache redis` is a Redis whose sessions are found through a near cache."""
    clock = Clock()
    uses_near_cache, _, kind = kind.rpartition(" ")
    if kind != "memory":
        request.getfixturevalue(f"redis_{'server' if kind == 'redis' else 'cluster'}").flush()
    store = open_store(store_url(kind, request), clock=clock)
    fixture = StoreFixture(store, clock, uses_near_cache=bool(uses_near_cache))
    yield fixture
    for cache in fixture.caches:
        await cache.aclose()
    await store.aclose()


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store_fixture(request: pytest.FixtureRequest) -> AsyncIterator[StoreFixture]:
    async with open_store_fixture(request.param, request) as fixture:
        yield fixture


@pytest.fixture
def sessions(store_fixture: StoreFixture) -> SessionService:
    return store_fixture.sessions()


async def sign_in(
    sessions: SessionService, scope: str = AUTH, **options: Any
) -> tuple[str, Session]:
    options = {"identity": ALICE, "provider_session": "sid-1", **options}
    return await sessions.create(scope=scope, **options)


async def create_child(
    sessions: SessionService, parent: Session, scope: str = APP, **options: Any
) -> tuple[str, Session]:
    return await sessions.create(identity=parent.identity, scope=scope, parent=parent, **options)


async def is_active(sessions: SessionService, token: str, scope: str = AUTH) -> bool:
    return await sessions.find(token, scope=scope, provider="corp") is not None
