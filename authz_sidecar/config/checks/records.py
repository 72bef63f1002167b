"""Where a table of records may be: with the configuration, or in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.stores import REDIS, no_store
from authz_sidecar.config.records import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RecordHash
    from authz_sidecar.core.source_locations import Found, Step


def table_rules(config: Config) -> Iterator[Found]:
    for name, settings in config.records.items():
        at, given = ("records", name), settings.model_fields_set
        if settings.redis is None:
            if "table" not in given:
                yield "needs a `table`, or where it is in `redis`", at
            else:
                for problem in read_table(settings).problems:
                    yield problem, (*at, "table")
            continue
        for key in sorted(given & {"table", "format"}):
            yield "is for tables that are not in `redis`", (*at, key)
        yield from _hash(config, settings.redis, (*at, "redis"))


def _hash(config: Config, table: RecordHash, at: tuple[Step, ...]) -> Iterator[Found]:
    if table.url is None and config.sessions.store.reveal().startswith("memory:"):
        yield "needs a `url`, `sessions.store` is no Redis", at
    elif table.url is not None and (problem := no_store(table.url, REDIS)):
        yield problem, (*at, "url")
    if table.every < 1:
        yield "must be a second at least", (*at, "every")
    elif table.max_age < 2 * table.every:
        yield (
            "must be twice `every` at least, or one answer lost makes it unknown",
            (*at, "max_age"),
        )
