"""The near cache: verified sessions in memory, invalidated by the store (client-side caching)."""

from authz_sidecar.sessions.cache.cache import NearCache
from authz_sidecar.sessions.cache.entries import CachedSession, NearCacheLimits
from authz_sidecar.sessions.cache.stats import NearCacheStats

__all__ = ["CachedSession", "NearCache", "NearCacheLimits", "NearCacheStats"]
