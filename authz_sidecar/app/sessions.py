"""Builds the session store and its cache, the session cookies and the rate limiter."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from authz_sidecar.app.application import ProcessStore
from authz_sidecar.rate_limit import RateLimit, RateLimiter
from authz_sidecar.sessions import SessionCookies
from authz_sidecar.sessions.cache import NearCache, NearCacheLimits
from authz_sidecar.sessions.factory import open_store

if TYPE_CHECKING:
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config
    from authz_sidecar.sealing import SecretKeys
    from authz_sidecar.sessions import SessionService


def session_store(config: Config, previous: Application | None) -> ProcessStore:
    """Return the session store; that of `previous` where the URL did not change.

    Raises `StartupError` for a store that cannot be used.
    """
    url = config.sessions.store.reveal()
    if previous is not None and previous.store.url == url:
        return previous.store
    is_process_local = url.startswith("memory:")
    return ProcessStore(
        url=url, store=open_store(url), instance=secrets.token_hex(4) if is_process_local else ""
    )


def near_cache(
    config: Config, keys: SecretKeys, store: ProcessStore, previous: Application | None
) -> NearCache:
    """Return the in-process session cache, with the statistics of the previous one."""
    return NearCache(
        store.store,
        secret_keys=keys,
        idle_timeout=config.sessions.idle_timeout,
        grace=config.sessions.grace,
        limits=NearCacheLimits(
            max_entries=config.sessions.near_cache.entries,
            max_bytes=config.sessions.near_cache.mebibytes << 20,
        ),
        stats=previous.near_cache.stats if previous else None,
    )


def session_cookies(config: Config) -> SessionCookies:
    """Return the names and attributes of the session cookies."""
    cookie = config.sessions.cookie
    return SessionCookies(
        name=cookie.name,
        same_site=cookie.same_site,
        domain=cookie.domain,
        providers=tuple(config.identity_providers),
        default_provider=config.default_identity_provider,
    )


def rate_limiter(config: Config, sessions: SessionService) -> RateLimiter:
    """Return the rate limiter of the login endpoints, by client."""
    settings = config.server.throttle
    limit = RateLimit(requests=settings.requests, window=settings.window, exempt=settings.exempt)
    return RateLimiter(sessions.one_time, limits=limit, clock=time.time)
