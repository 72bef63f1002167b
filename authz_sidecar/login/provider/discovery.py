"""What one provider says about itself, remembered: asked lazily, missed with patience."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from authz_sidecar.errors import ProviderUnavailable
from authz_sidecar.login.provider.metadata import (
    Metadata,
    discovery_url,
    parse_metadata,
    plain_metadata,
)
from authz_sidecar.login.provider.settings import (
    FIRST_BACK_OFF_SECONDS,
    LONGEST_BACK_OFF_SECONDS,
    METADATA_FRESH_SECONDS,
    ProviderSettings,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


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
        plain = settings.kind.plain_oauth
        self.known = None if plain is None else plain_metadata(plain, issuer=settings.issuer)
        self._ask_again_at = 0.0 if plain is None else float("inf")
        self._back_off = FIRST_BACK_OFF_SECONDS
        self._last_error = ""
        self._lock = asyncio.Lock()

    async def reach(self) -> None:
        """Try until the provider is reached once."""
        while self.known is None:
            try:
                await self.metadata()
            except ProviderUnavailable:
                await asyncio.sleep(max(0.1, self._ask_again_at - self._clock()))

    async def metadata(self) -> Metadata:
        """Raises `ProviderUnavailable` at once while the provider is known to be down."""
        if self._clock() < self._ask_again_at or (self.known is not None and self._lock.locked()):
            return self._known()  # old news is good enough while somebody asks for newer
        async with self._lock:
            if self._clock() >= self._ask_again_at:
                await self._discover()
        return self._known()

    def _known(self) -> Metadata:
        if self.known is None:
            raise ProviderUnavailable(self._last_error)
        return self.known

    async def _discover(self) -> None:
        settings = self._settings
        try:
            document = await self._fetch(discovery_url(settings.issuer))
            self.known = parse_metadata(document, issuer=settings.issuer, tenants=settings.tenants)
        except ProviderUnavailable as error:
            if not self._last_error:
                _log.warning(
                    "identity provider `%s` is out of reach, trying on: %s", settings.name, error
                )
            self._last_error = str(error)
            self._ask_again_at = self._clock() + self._back_off
            self._back_off = min(self._back_off * 2, LONGEST_BACK_OFF_SECONDS)
            return
        if self._last_error:
            _log.info("identity provider `%s` answers again", settings.name)
        self._last_error = ""
        self._ask_again_at = self._clock() + METADATA_FRESH_SECONDS
        self._back_off = FIRST_BACK_OFF_SECONDS
