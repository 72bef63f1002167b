"""Runs a query on the session store of a configuration, for commands beside the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.errors import StartupError, StoreUnavailable
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import SessionService
from authz_sidecar.sessions.factory import open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.config.schema import Config

T = TypeVar("T")


def run_query(config: Config, query: Callable[[SessionService], Awaitable[T]]) -> T:
    """Return the result of `query` on the configured session store. Raises `StartupError` if the
    store is in another process's memory or unreachable."""
    url = config.sessions.store.reveal()
    if url.startswith("memory:"):
        raise StartupError(
            "`sessions.store` is `memory://`, which only the server process can read"
        )

    async def run() -> T:
        store = open_store(url)
        sessions = SessionService(
            store=store,
            secret_keys=SecretKeys([key.reveal().encode() for key in config.secret_keys]),
            lifetime=config.sessions.lifetime,
            idle_timeout=config.sessions.idle_timeout,
        )
        try:
            return await query(sessions)
        except StoreUnavailable as error:
            raise StartupError(str(error)) from None
        finally:
            await store.aclose()

    return asyncio.run(run())
