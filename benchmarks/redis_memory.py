"""What a session takes in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.servers.redis import RedisServer

KINDS = {
    "az:s:": "identity",
    "az:l:": "last use",
    "az:u:": "index by user",
    "az:p:": "index by provider session",
    "az:m:": "what lists show",
}
EMPTY_BYTES = 1_000_000
"""What a server without keys uses."""


def measure_redis_memory(redis: RedisServer, sessions: int) -> dict[str, Any]:
    """Bytes of a session, all in all and by what they are for; `with_others` is the tables that
    Redis keeps of all keys and of their ends."""
    used = int(redis.command("INFO", "memory")["used_memory"]) - EMPTY_BYTES
    sizes: dict[str, list[int]] = {prefix: [] for prefix in KINDS}
    lengths = []
    for key in redis.command("SCAN", "0", "COUNT", "2000")[1]:
        prefix = key.decode()[:5]
        sizes[prefix].append(int(redis.command("MEMORY", "USAGE", key)))
        if prefix == "az:s:":
            lengths.append(int(redis.command("STRLEN", key)))
    kinds = {KINDS[prefix]: sum(some) / len(some) for prefix, some in sizes.items() if some}
    total = used / sessions
    tables = (total - sum(kinds.values())) / len(kinds)
    shown = kinds.get(KINDS["az:m:"], 0.0) + tables
    return {
        "redis_bytes_per_session": round(total),
        "redis_bytes_per_session_without_listing": round(total - shown),
        "redis_bytes_by_kind": {
            **{name: round(size) for name, size in kinds.items()},
            "tables of keys and ends": round(tables * len(kinds)),
        },
        "redis_record_bytes": round(sum(lengths) / len(lengths)),
    }
