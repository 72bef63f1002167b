"""What a configuration becomes, and how it begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz_sidecar.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.app.record_tables import KeptTable
    from authz_sidecar.check.recent_denials import Denials
    from authz_sidecar.config.schema import Config
    from authz_sidecar.errors import Problem
    from authz_sidecar.fastpath.service import Lane
    from authz_sidecar.login.providers import Provider
    from authz_sidecar.observe.store_monitor import StoreWatch
    from authz_sidecar.sessions import Sessions, SessionStore
    from authz_sidecar.sessions.cache import NearCache
    from authz_sidecar.tokens.bearer import Issuer

Asgi = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]

READY_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The session store of a process. `instance` tells attempts begun with another process's own
    memory from ours; it is empty where all share one store."""

    url: str
    store: SessionStore
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What one configuration makes of us. `check` and `web` are served, `denials` explains what was
    denied; `problems` are why the routes named in `refused` refuse everything, and `unstated` are the
    providers that sign nobody in before their redirect URI is stated. The rest is kept so
    that a successor may take it over: sessions in memory, and providers, token issuers and tables of
    records that did not change. `release` cuts the circles of references, so that nothing but counting
    is needed to free what is closed."""

    config: Config
    check: Asgi
    lane: Lane | None
    web: Asgi
    denials: Denials
    route_count: int
    problems: tuple[Problem, ...]
    refused: tuple[str, ...]
    unstated: Mapping[str, Problem]
    store: Store
    sessions: Sessions
    near: NearCache
    providers: Mapping[str, Provider]
    token_issuers: Mapping[str, Issuer]
    tables: Mapping[str, KeptTable]
    watch: StoreWatch
    release: Callable[[], None]
    _taken_over: frozenset[int] = field(default=frozenset())

    async def start(self) -> None:
        """Reach for providers and stores in the background; none of them is waited for."""
        self.watch.start()
        self.near.start()
        for table in self.tables.values():
            table.mirror.start()
        for asked in (*self.providers.values(), *self.token_issuers.values()):
            if id(asked) not in self._taken_over:
                await asked.start()

    async def aclose(self, *, successor: Application | None = None) -> None:
        """Let go of everything that `successor` has not taken over."""
        await self.watch.aclose()
        await self.near.aclose()
        kept = successor.parts() if successor else frozenset()
        for held in (*self.providers.values(), *self.token_issuers.values(), *self.tables.values()):
            if id(held) not in kept:
                await held.aclose()
        if id(self.store.store) not in kept:
            await self.store.store.aclose()
        self.release()

    def parts(self) -> frozenset[int]:
        others = (self.providers, self.token_issuers, self.tables)
        parts = (self.store.store, *(part for several in others for part in several.values()))
        return frozenset(map(id, parts))

    async def missing(self) -> dict[str, str]:
        """What keeps us from being ready, in words for the operator."""
        missing = {
            f"identity provider `{name}`": "it was not reached yet"
            for name, provider in self.providers.items()
            if not provider.ready
        }
        missing |= {
            f"table `{name}`": "it was not read yet"
            for name, table in self.tables.items()
            if not table.mirror.was_read
        }
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self.sessions.ready()
        except StoreUnavailable as error:
            missing["session store"] = str(error)
        except TimeoutError:
            missing["session store"] = f"no answer within {READY_SECONDS:g} s"
        return missing
