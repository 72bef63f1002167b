"""Tables of records that are kept in Redis; those that did not change are taken over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.config.records import read_hash
from authz_sidecar.errors import StartError
from authz_sidecar.policy.records import Networks, Users, table_of
from authz_sidecar.polling import Mirror
from authz_sidecar.sessions.redis import RedisHash
from authz_sidecar.sessions.store_url import parse_location

if TYPE_CHECKING:
    from authz_sidecar.app.application import Application
    from authz_sidecar.config.schema import Config, RecordHash, RecordTable, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTable:
    """A table in memory as it is in Redis, up to some seconds ago."""

    settings: RecordTable
    url: Secret
    source: RedisHash
    mirror: Mirror[Users | Networks]

    async def aclose(self) -> None:
        await self.mirror.aclose()
        await self.source.aclose()


def kept_tables(config: Config, previous: Application | None) -> dict[str, KeptTable]:
    """Raises `StartError` for a URL that cannot be used."""
    tables, old = {}, previous.tables if previous else {}
    for name, settings in config.records.items():
        if (where := settings.redis) is None:
            continue
        url = where.url or config.sessions.store
        same = name in old and (old[name].settings, old[name].url) == (settings, url)
        tables[name] = old[name] if same else _kept(name, settings, where, url)
    return tables


def _kept(name: str, settings: RecordTable, where: RecordHash, url: Secret) -> KeptTable:
    try:
        location = parse_location(url.reveal())
    except ValueError as error:
        raise StartError(f"the URL of the table `{name}` {error}") from None
    source = RedisHash.at(location, key=where.key)
    mirror = Mirror(
        _Reading(source, by=settings.by).read,
        name=f"the table `{name}`",
        every=where.every,
        max_age=where.max_age,
    )
    return KeptTable(settings=settings, url=url, source=source, mirror=mirror)


class _Reading:
    """Understands a hash only where it has changed."""

    def __init__(self, source: RedisHash, *, by: str) -> None:
        self._source = source
        self._by = by
        self._fields: dict[bytes, bytes] = {}
        self._table: Users | Networks | None = None

    async def read(self) -> Users | Networks:
        fields = await self._source.read()
        if self._table is None or fields != self._fields:
            # A large one takes longer than a check should wait.
            self._table = await asyncio.to_thread(self._understood, fields)
            self._fields = fields
        return self._table

    def _understood(self, fields: dict[bytes, bytes]) -> Users | Networks:
        return table_of(read_hash(fields, by=self._by), by=self._by)
