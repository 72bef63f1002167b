"""The cache of a provider's signing keys (JWKS): fetches again for an unknown `kid` or a wrong
signature, at a limited rate.

Knows nothing of HTTP: the function that fetches is an argument.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from authz_sidecar.errors import LoginRefused, ProviderUnavailable
from authz_sidecar.oidc.jws import BadSignature, Jwk, TokenHeader, suitable_keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

FRESH_SECONDS = 3600.0
REFETCHES_PER_MINUTE = 5
MAX_UNKNOWN_KIDS = 64
MAX_KEYS = 100


def parse_jwks(document: object, *, url: str) -> tuple[Jwk, ...]:
    """Return the keys of a JWK Set (RFC 7517 section 5), at most `MAX_KEYS`. Raises
    `ProviderUnavailable` when it is not one.

    `url`: where the document came from, for the error message.
    """
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list):
        raise ProviderUnavailable(f"`{url}`: not a key set")
    return tuple(key for key in keys[:MAX_KEYS] if isinstance(key, Mapping))


class JWKSCache:
    """The signing keys of one provider.

    `fetch`: gets the current keys from the provider; raises `ProviderUnavailable`.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Sequence[Jwk]]], *, clock: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Sequence[Jwk] = ()
        self._fetched_at: float | None = None
        self._refetched: deque[float] = deque(maxlen=REFETCHES_PER_MINUTE)
        self._unknown: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def key_for(self, header: TokenHeader) -> Jwk:
        """Return the only key that fits this header, fetching again for an unknown `kid`. Raises
        `LoginRefused`, and `ProviderUnavailable` when no keys could be fetched yet."""
        fetched_at = self._fetched_at
        if fetched_at is None or self._clock() - fetched_at >= FRESH_SECONDS:
            await self._refresh(fetched_at)
        candidates = suitable_keys(self._keys, header)
        if not candidates and not self._is_known_unknown(header) and self._may_refetch():
            await self._refresh(self._fetched_at)
            candidates = suitable_keys(self._keys, header)
        if not candidates:
            self._remember_unknown(header)
            raise LoginRefused(f"token is signed with a key `{header.key_id}` we do not know")
        if len(candidates) > 1:
            raise LoginRefused("token does not say which of several keys signed it")
        return candidates[0]

    async def verify_with_key(
        self, header: TokenHeader, verify: Callable[[Jwk], T], *, kid_may_be_reused: bool
    ) -> T:
        """Return the result of `verify` with the key that fits this header. Raises `LoginRefused`.

        When the signature is wrong and the provider has replaced the key, `verify` runs again with
        the new one: for keys without `kid` always, for keys with one if `kid_may_be_reused`.
        """
        key = await self.key_for(header)
        try:
            return verify(key)
        except BadSignature:
            if header.key_id is not None and not kid_may_be_reused:
                raise
            await self.refresh()
            renewed = await self.key_for(header)
            if renewed == key:
                raise
            return verify(renewed)

    async def refresh(self) -> None:
        """Fetch the keys again, within the rate limit: providers without `kid` replace keys
        unannounced."""
        if self._may_refetch():
            await self._refresh(self._fetched_at)

    async def _refresh(self, fetched_at: float | None) -> None:
        """Fetch the keys unless another task did since `fetched_at`. Old keys stay in use during an
        outage."""
        async with self._lock:
            if self._fetched_at != fetched_at:
                return
            try:
                self._keys = await self._fetch()
            except ProviderUnavailable:
                if self._fetched_at is None:
                    raise
                return
            self._fetched_at = self._clock()
            self._unknown.clear()

    def _is_known_unknown(self, header: TokenHeader) -> bool:
        if header.key_id is None:
            return True
        return self._clock() - self._unknown.get(header.key_id, -60.0) < 60

    def _may_refetch(self) -> bool:
        now = self._clock()
        if len(self._refetched) == REFETCHES_PER_MINUTE and now - self._refetched[0] < 60:
            return False
        self._refetched.append(now)
        return True

    def _remember_unknown(self, header: TokenHeader) -> None:
        if header.key_id is not None:
            self._unknown[header.key_id] = self._clock()
            while len(self._unknown) > MAX_UNKNOWN_KIDS:
                del self._unknown[next(iter(self._unknown))]
