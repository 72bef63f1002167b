"""Rules about `records`: each table is either in the configuration or in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.config.checks.stores import REDIS_SCHEMES, store_url_problem
from authz_sidecar.config.records import parse_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_sidecar.config.schema import Config, RecordHash
    from authz_sidecar.core.source_locations import PathStep, RuleViolation


def check_records(config: Config) -> Iterator[RuleViolation]:
    """Return what is wrong with the tables, the content of those in the configuration included."""
    for name, settings in config.records.items():
        path, given_keys = ("records", name), settings.model_fields_set
        if settings.redis is None:
            if "table" not in given_keys:
                yield "needs a `table` or `redis`", path
            else:
                for problem in parse_table(settings).problems:
                    yield problem, (*path, "table")
            continue
        for key in sorted(given_keys & {"table", "format"}):
            yield "cannot be combined with `redis`", (*path, key)
        yield from _check_redis_hash(config, settings.redis, (*path, "redis"))


def _check_redis_hash(
    config: Config, table: RecordHash, path: tuple[PathStep, ...]
) -> Iterator[RuleViolation]:
    if table.url is None and config.sessions.store.reveal().startswith("memory:"):
        yield "needs a `url`, because `sessions.store` is not Redis", path
    elif table.url is not None and (problem := store_url_problem(table.url, REDIS_SCHEMES)):
        yield problem, (*path, "url")
    if table.every < 1:
        yield "must be at least `1s`", (*path, "every")
    elif table.max_age < 2 * table.every:
        yield (
            "must be at least twice `every`, so that one failed read is tolerated",
            (*path, "max_age"),
        )
