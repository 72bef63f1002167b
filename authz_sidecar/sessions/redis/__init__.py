"""Sessions in Redis or Valkey: alone, behind Sentinels, or as a cluster. All that imports redis."""

from authz_sidecar.sessions.redis.hashes import RedisHash
from authz_sidecar.sessions.redis.store import RedisStore

__all__ = ["RedisHash", "RedisStore"]
