"""A question to the session store of a configuration, for commands that run beside the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.errors import StartError, StoreUnavailable
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import Sessions
from authz_sidecar.sessions.factory import open_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_sidecar.config.schema import Config

T = TypeVar("T")


def asked(config: Config, question: Callable[[Sessions], Awaitable[T]]) -> T:
    """Raises `StartError` where the store cannot be asked, or cannot answer."""
    url = config.sessions.store.reveal()
    if url.startswith("memory:"):
        raise StartError(
            "`sessions.store` is `memory://`, in the memory of the server: no command can reach it"
        )

    async def ask() -> T:
        store = open_store(url)
        sessions = Sessions(
            store=store,
            secret_keys=SecretKeys([key.reveal().encode() for key in config.secret_keys]),
            lifetime=config.sessions.lifetime,
            idle_timeout=config.sessions.idle_timeout,
        )
        try:
            return await question(sessions)
        except StoreUnavailable as error:
            raise StartError(str(error)) from None
        finally:
            await store.aclose()

    return asyncio.run(ask())
