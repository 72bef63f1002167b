"""Verified sessions in memory, in front of the store, dropped the moment the store says so."""

from authz_sidecar.sessions.cache.cache import NearCache
from authz_sidecar.sessions.cache.entries import CachedSession, NearCacheLimits
from authz_sidecar.sessions.cache.stats import NearCacheStats

__all__ = ["CachedSession", "NearCache", "NearCacheLimits", "NearCacheStats"]
