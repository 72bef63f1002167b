"""The application that is built from one configuration, with its start and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.app.record_tables import RedisRecordTable
    from authz_sidecar.check.recent_denials import RecentDenials
    from authz_sidecar.config.schema import Config
    from authz_sidecar.errors import Problem
    from authz_sidecar.fastpath.service import FastPath
    from authz_sidecar.login.providers import OIDCClient
    from authz_sidecar.observe.store_monitor import StoreMonitor
    from authz_sidecar.sessions import SessionService, SessionStore
    from authz_sidecar.sessions.cache import NearCache
    from authz_sidecar.tokens.bearer import AccessTokenVerifier

ASGIApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]

STORE_READY_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStore:
    """The session store of a process.

    `instance`: identifies the login transactions of this process where the store is its own memory;
      empty where processes share a store.
    """

    url: str
    store: SessionStore
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The services of one configuration.

    `check_app`: the ASGI application of the check listener.
    `fast_path`: the fast path of the check listener; None where the configuration rules it out.
    `web_app`: the ASGI application of the web listener.
    `denials`: explains recent denials.
    `problems`: why the routes in `refused_routes` refuse every request.
    `missing_callbacks`: the problem of each provider whose sign-in is refused until its redirect
      URI is stated. `store`, `sessions`, `near_cache`, `providers`, `token_verifiers`,
      `record_tables`: kept so that the application of the next configuration may take over what did
      not change.
    `release`: breaks reference cycles, so that reference counting alone frees a closed application.
    """

    config: Config
    check_app: ASGIApp
    fast_path: FastPath | None
    web_app: ASGIApp
    denials: RecentDenials
    route_count: int
    problems: tuple[Problem, ...]
    refused_routes: tuple[str, ...]
    missing_callbacks: Mapping[str, Problem]
    store: ProcessStore
    sessions: SessionService
    near_cache: NearCache
    providers: Mapping[str, OIDCClient]
    token_verifiers: Mapping[str, AccessTokenVerifier]
    record_tables: Mapping[str, RedisRecordTable]
    store_monitor: StoreMonitor
    release: Callable[[], None]
    _inherited_parts: frozenset[int] = field(default=frozenset())

    async def start(self) -> None:
        """Start the background connections to providers and stores, and wait for none of them."""
        self.store_monitor.start()
        self.near_cache.start()
        for table in self.record_tables.values():
            table.snapshot.start()
        for client in (*self.providers.values(), *self.token_verifiers.values()):
            if id(client) not in self._inherited_parts:
                await client.start()

    async def aclose(self, *, successor: Application | None = None) -> None:
        """Close every part that `successor` has not taken over."""
        await self.store_monitor.aclose()
        await self.near_cache.aclose()
        inherited = successor.shared_parts() if successor else frozenset()
        for part in (
            *self.providers.values(),
            *self.token_verifiers.values(),
            *self.record_tables.values(),
        ):
            if id(part) not in inherited:
                await part.aclose()
        if id(self.store.store) not in inherited:
            await self.store.store.aclose()
        self.release()

    def shared_parts(self) -> frozenset[int]:
        """Return the ids (`id()`) of the parts that another application may take over."""
        groups = (self.providers, self.token_verifiers, self.record_tables)
        parts = (self.store.store, *(part for group in groups for part in group.values()))
        return frozenset(map(id, parts))

    async def missing(self) -> dict[str, str]:
        """Return what keeps the application from being ready, by part, for the operator."""
        missing = {
            f"identity provider `{name}`": "it was not reached yet"
            for name, provider in self.providers.items()
            if not provider.ready
        }
        missing |= {
            f"table `{name}`": "it was not read yet"
            for name, table in self.record_tables.items()
            if not table.snapshot.loaded
        }
        try:
            async with asyncio.timeout(STORE_READY_SECONDS):
                await self.sessions.check_ready()
        except StoreUnavailable as error:
            missing["session store"] = str(error)
        except TimeoutError:
            missing["session store"] = f"no answer within {STORE_READY_SECONDS:g} s"
        return missing
