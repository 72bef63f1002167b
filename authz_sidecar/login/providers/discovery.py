"""The cached metadata of one provider: loaded at the first use, reloaded every hour, with back-off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from authz_sidecar.errors import ProviderUnavailable
from authz_sidecar.login.providers.settings import METADATA_FRESH_SECONDS, ProviderSettings
from authz_sidecar.oidc.backoff import BackOff
from authz_sidecar.oidc.metadata import (
    ProviderMetadata,
    discovery_url,
    parse_metadata,
    static_metadata,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Discovery:
    """The metadata of one provider.

    `fetch`: returns the JSON at a URL; raises `ProviderUnavailable`.
    `cached`: the metadata that was loaded last; None before the first success.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        fetch: Callable[[str], Awaitable[object]],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._clock = clock
        oauth2 = settings.kind.oauth2
        self.cached = None if oauth2 is None else static_metadata(oauth2, issuer=settings.issuer)
        self._fresh_until = 0.0 if oauth2 is None else float("inf")
        self._back_off = BackOff(f"identity provider `{settings.name}`", clock=clock)
        self._lock = asyncio.Lock()

    async def reach(self) -> None:
        """Load the metadata, with back-off until it succeeds once."""
        while self.cached is None:
            try:
                await self.metadata()
            except ProviderUnavailable:
                await self._back_off.pause()

    async def metadata(self) -> ProviderMetadata:
        """Return the metadata, reloading it when it is stale. Old metadata stays in use during a
        reload or an outage. Raises `ProviderUnavailable`, at once during back-off."""
        if not self._is_due() or (self.cached is not None and self._lock.locked()):
            return self._cached_metadata()  # stale metadata is good enough during a reload
        async with self._lock:
            if self._is_due():
                await self._discover()
        return self._cached_metadata()

    def _is_due(self) -> bool:
        return self._clock() >= self._fresh_until and not self._back_off.is_backing_off

    def _cached_metadata(self) -> ProviderMetadata:
        if self.cached is None:
            raise ProviderUnavailable(self._back_off.reason)
        return self.cached

    async def _discover(self) -> None:
        settings = self._settings
        try:
            document = await self._fetch(discovery_url(settings.issuer))
            self.cached = parse_metadata(document, issuer=settings.issuer, tenants=settings.tenants)
        except ProviderUnavailable as error:
            self._back_off.failed(str(error))
            return
        self._back_off.succeeded()
        self._fresh_until = self._clock() + METADATA_FRESH_SECONDS
