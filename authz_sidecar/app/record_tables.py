"""Builds the record tables that are read from Redis.

Tables whose settings did not change are taken over from the previous application.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.records import parse_redis_hash
from authz_sidecar.errors import StartupError
from authz_sidecar.policy.records import NetworkRecords, Users, build_table
from authz_sidecar.polling import PolledSnapshot
from authz_sidecar.sessions.redis import RedisHash
from authz_sidecar.sessions.store_url import parse_store_url

if TYPE_CHECKING:
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config, RecordHash, RecordTable, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisRecordTable:
    """A record table with its Redis hash and the snapshot that is polled from it."""

    settings: RecordTable
    url: Secret
    source: RedisHash
    snapshot: PolledSnapshot[Users | NetworkRecords]

    async def aclose(self) -> None:
        """Stop polling and close the connection."""
        await self.snapshot.aclose()
        await self.source.aclose()


def redis_record_tables(
    config: Config, previous: Application | None
) -> dict[str, RedisRecordTable]:
    """Return the record tables in Redis, by name.

    Raises `StartupError` for a URL that cannot be used.
    """
    tables, previous_tables = {}, previous.record_tables if previous else {}
    for name, settings in config.records.items():
        if (redis := settings.redis) is None:
            continue
        url = redis.url or config.sessions.store
        is_unchanged = name in previous_tables and (
            previous_tables[name].settings,
            previous_tables[name].url,
        ) == (settings, url)
        tables[name] = (
            previous_tables[name] if is_unchanged else _build_table(name, settings, redis, url)
        )
    return tables


def _build_table(
    name: str, settings: RecordTable, redis: RecordHash, url: Secret
) -> RedisRecordTable:
    try:
        location = parse_store_url(url.reveal())
    except ValueError as error:
        raise StartupError(f"the URL of the table `{name}` {error}") from None
    source = RedisHash.from_location(location, key=redis.key)
    snapshot = PolledSnapshot(
        _TableReader(source, by=settings.by).read,
        name=f"the table `{name}`",
        interval=redis.every,
        max_age=redis.max_age,
    )
    return RedisRecordTable(settings=settings, url=url, source=source, snapshot=snapshot)


class _TableReader:
    """Reads a table, and parses it only where the hash has changed."""

    def __init__(self, source: RedisHash, *, by: str) -> None:
        self._source = source
        self._by = by
        self._fields: dict[bytes, bytes] = {}
        self._table: Users | NetworkRecords | None = None

    async def read(self) -> Users | NetworkRecords:
        fields = await self._source.read()
        if self._table is None or fields != self._fields:
            # Parsing a large hash takes longer than a check should wait.
            self._table = await asyncio.to_thread(self._parse, fields)
            self._fields = fields
        return self._table

    def _parse(self, fields: dict[bytes, bytes]) -> Users | NetworkRecords:
        return build_table(parse_redis_hash(fields, by=self._by), by=self._by)
