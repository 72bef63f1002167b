"""A provider's signing keys, remembered: by `kid`, refetched once for a `kid` never seen, and never
more often than a provider would put up with.

Knows nothing of HTTP (it is given a function that fetches), and of signatures only that one was
wrong, which is a reason to look for another key.
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
    """The keys of a JWK Set (RFC 7517 section 5) that was found at `url`, the first `MAX_KEYS` of
    them; raises `ProviderUnavailable`. Which of them are of use is seen when one is looked for."""
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list):
        raise ProviderUnavailable(f"`{url}`: not a key set")
    return tuple(key for key in keys[:MAX_KEYS] if isinstance(key, Mapping))


class JWKSCache:
    """`fetch` asks the provider; it raises `ProviderUnavailable`."""

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
        """The one key that this header may mean; raises `LoginRefused`."""
        seen = self._fetched_at
        if seen is None or self._clock() - seen >= FRESH_SECONDS:
            await self._refresh(seen)
        found = suitable_keys(self._keys, header)
        if not found and not self._is_known_unknown(header) and self._may_refetch():
            await self._refresh(self._fetched_at)
            found = suitable_keys(self._keys, header)
        if not found:
            self._remember_unknown(header)
            raise LoginRefused(f"token is signed with a key `{header.key_id}` we do not know")
        if len(found) > 1:
            raise LoginRefused("token does not say which of several keys signed it")
        return found[0]

    async def verify_with_key(
        self, header: TokenHeader, verify: Callable[[Jwk], T], *, kid_may_be_reused: bool
    ) -> T:
        """What `verify` finds with the key that this header may mean. Where the signature is wrong
        it is asked again with the key that took this one's place, if there is any: always of keys
        without a name, of named ones if `kid_may_be_reused`. Raises `LoginRefused`."""
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
        """Fetch again, within the limits: a signature was wrong, and providers that do not name
        their keys replace them unannounced."""
        if self._may_refetch():
            await self._refresh(self._fetched_at)

    async def _refresh(self, seen: float | None) -> None:
        """Fetch, unless somebody else has since `seen`. Old keys outlive a provider that is down."""
        async with self._lock:
            if self._fetched_at != seen:
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
