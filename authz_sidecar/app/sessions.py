"""Where sessions are kept, in which cookies, and who asks for them too often."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from authz_sidecar.app.application import Store
from authz_sidecar.rate_limit import Limits, Throttle
from authz_sidecar.sessions import SessionCookies
from authz_sidecar.sessions.cache import NearCache, NearLimits
from authz_sidecar.sessions.factory import open_store

if TYPE_CHECKING:
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions import Sessions


def store_of(config: Config, previous: Application | None) -> Store:
    url = config.sessions.store.reveal()
    if previous is not None and previous.store.url == url:
        return previous.store
    own = url.startswith("memory:")
    return Store(url=url, store=open_store(url), instance=secrets.token_hex(4) if own else "")


def near_cache(
    config: Config, keys: SecretKeys, store: Store, previous: Application | None
) -> NearCache:
    return NearCache(
        store.store,
        secret_keys=keys,
        idle_timeout=config.sessions.idle_timeout,
        grace=config.sessions.grace,
        limits=NearLimits(
            entries=config.sessions.near_cache.entries,
            bytes=config.sessions.near_cache.mebibytes << 20,
        ),
        counts=previous.near.counts if previous else None,
    )


def cookies(config: Config) -> SessionCookies:
    cookie = config.sessions.cookie
    return SessionCookies(
        name=cookie.name,
        same_site=cookie.same_site,
        domain=cookie.domain,
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
    )


def throttle(config: Config, sessions: Sessions) -> Throttle:
    settings = config.server.throttle
    limits = Limits(requests=settings.requests, window=settings.window, exempt=settings.exempt)
    return Throttle(sessions.notes, limits=limits, clock=time.time)
