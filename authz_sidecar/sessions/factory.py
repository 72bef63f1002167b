"""Opens the session store that `sessions.store` names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from authz_sidecar.errors import StartupError
from authz_sidecar.sessions.memory_store import MemoryStore
from authz_sidecar.sessions.redis import RedisStore
from authz_sidecar.sessions.store_url import StoreKind, parse_store_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.sessions.store import SessionStore


def open_store(url: str, *, clock: Callable[[], float] = time.time) -> SessionStore:
    """The store for a URL, not connected yet. `clock` is for `memory://`; Redis has its own clock.
    Raises `StartupError` for a URL that `parse_store_url` does not accept."""
    try:
        location = parse_store_url(url)
    except ValueError as error:
        raise StartupError(f"`sessions.store` {error}") from None
    if location.kind is StoreKind.MEMORY:
        return MemoryStore(clock=clock)
    return RedisStore.from_location(location)
