"""Verified sessions in memory, in front of the store, dropped the moment the store says so."""

from authz_sidecar.sessions.near.cache import NearCache
from authz_sidecar.sessions.near.counts import NearCounts
from authz_sidecar.sessions.near.entries import NearEntry, NearLimits

__all__ = ["NearCache", "NearCounts", "NearEntry", "NearLimits"]
