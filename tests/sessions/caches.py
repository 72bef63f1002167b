"""Near caches for tests, and stores that watch or hinder what they ask."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from authz_sidecar.errors import StoreUnavailable
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions.cache import NearCache
from authz_sidecar.sessions.service import SessionService
from tests.sessions.conftest import AUTH, HOUR, OLD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from authz_sidecar.core.types import Session
    from authz_sidecar.sessions.store import SessionStore


def build_sessions(store: Any, **options: Any) -> SessionService:
    options = {"lifetime": 10 * HOUR, "idle_timeout": HOUR, **options}
    return SessionService(store=store, secret_keys=SecretKeys([OLD]), **options)


@contextlib.asynccontextmanager
async def open_near_cache(
    store: Any, *, start: bool = True, **options: Any
) -> AsyncIterator[NearCache]:
    """A cache on a store, which hears of changes already."""
    cache = NearCache(store, secret_keys=SecretKeys([OLD]), **{"idle_timeout": HOUR, **options})
    if start:
        cache.start()
        await wait_until(lambda: cache.coherent)
    try:
        yield cache
    finally:
        await cache.aclose()


async def wait_until(condition: Callable[[], bool], *, within: float = 10.0) -> float:
    """How long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within, "it did not come to this"
        await asyncio.sleep(0.002)
    return time.monotonic() - started


async def find(cache: NearCache, token: str, scope: str = AUTH) -> Session | None:
    return await cache.find(token, scope=scope, provider="corp")


async def find_with_retries(cache: NearCache, token: str) -> Session | None:
    """Servers that have just come back may refuse at first."""
    for _ in range(40):
        with contextlib.suppress(StoreUnavailable):
            return await find(cache, token)
        await asyncio.sleep(0.25)
    return await find(cache, token)


async def load_into_cache(cache: NearCache, token: str, scope: str = AUTH) -> None:
    """Have it in memory. The news of its birth may spoil a first fetch."""
    while not cached_session(cache, token, scope):
        assert await find(cache, token, scope) is not None


def cached_session(
    cache: NearCache, token: str, scope: str = AUTH, *, now: float | None = None
) -> Session | None:
    now = time.time() if now is None else now
    entry = cache.lookup(token, scope=scope, provider="corp", now=now)
    return None if entry is None else entry.session


class RecordingStore:
    """A store that counts what it is asked, each call with its keys. `after_read` is awaited
    between the store's answer to a read and its arrival."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.after_read: Callable[[], Awaitable[Any]] | None = None
        self.subscribe = store.subscribe

    def calls_to(self, *names: str) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments in self.calls if name in names]

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((name, arguments))
            answer = await getattr(self._store, name)(*arguments, **options)
            if name == "read" and self.after_read is not None:
                await self.after_read()
            return answer

        return call
