"""Sessions in Redis or Valkey: a single server, behind Sentinels, or a cluster. Only modules of
this package import `redis`."""

from authz_sidecar.sessions.redis.hashes import RedisHash
from authz_sidecar.sessions.redis.store import RedisStore

__all__ = ["RedisHash", "RedisStore"]
