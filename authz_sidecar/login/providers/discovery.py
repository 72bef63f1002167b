"""What one provider says about itself, remembered: asked lazily, missed with patience."""

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
    """`fetch` gives the JSON at a URL, or raises `ProviderUnavailable`."""

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
        plain = settings.kind.oauth2
        self.known = None if plain is None else static_metadata(plain, issuer=settings.issuer)
        self._fresh_until = 0.0 if plain is None else float("inf")
        self._back_off = BackOff(f"identity provider `{settings.name}`", clock=clock)
        self._lock = asyncio.Lock()

    async def reach(self) -> None:
        """Try until the provider is reached once."""
        while self.known is None:
            try:
                await self.metadata()
            except ProviderUnavailable:
                await self._back_off.pause()

    async def metadata(self) -> ProviderMetadata:
        """Raises `ProviderUnavailable` at once while the provider is known to be down."""
        if not self._is_due() or (self.known is not None and self._lock.locked()):
            return self._known()  # old news is good enough while somebody asks for newer
        async with self._lock:
            if self._is_due():
                await self._discover()
        return self._known()

    def _is_due(self) -> bool:
        return self._clock() >= self._fresh_until and not self._back_off.is_backing_off

    def _known(self) -> ProviderMetadata:
        if self.known is None:
            raise ProviderUnavailable(self._back_off.reason)
        return self.known

    async def _discover(self) -> None:
        settings = self._settings
        try:
            document = await self._fetch(discovery_url(settings.issuer))
            self.known = parse_metadata(document, issuer=settings.issuer, tenants=settings.tenants)
        except ProviderUnavailable as error:
            self._back_off.failed(str(error))
            return
        self._back_off.succeeded()
        self._fresh_until = self._clock() + METADATA_FRESH_SECONDS
