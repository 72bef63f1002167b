"""The section `records`: tables that policies look up in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from authz_sidecar.config.schema.kinds import Duration, MustBeMap, SecretText, Section, Text


class RecordHash(Section):
    """A hash in Redis, which each worker copies into its memory at an interval."""

    key: Text = Field(
        description="The hash: a field for each user or network, whose value is the record in JSON."
    )
    url: SecretText | None = Field(
        default=None,
        description="The URL of its Redis, as for `sessions.store`, which is the default.",
    )
    every: Duration = Field(
        default=5.0,
        description="The interval between reads, and so the delay before a change takes effect.",
    )
    max_age: Duration = Field(
        default=30.0,
        description="How long the last copy is used when the hash can no longer be read; after that its"
        " values are [unknown](policy.md#what-is-not-known).",
    )


class RecordTable(Section):
    """A table that the criterion `record` looks up in, by user or by the client's address."""

    by: Literal["user", "address"] = Field(
        default="user",
        description="The key of a record: the user, as the criterion `user` compares it, or the"
        " smallest network that contains the client's address.",
    )
    format: Literal["yaml", "csv"] = Field(
        default="yaml",
        description="The format of `table` if it is text: `yaml` (or JSON), or `csv` with the names of"
        " the fields in the first row.",
    )
    table: object = Field(
        default=None,
        description="The records: a map from users or networks to maps of fields, or text, which"
        " `{file: PATH}` reads from a file of up to 1 MiB; [more](policy.md#tables).",
    )
    redis: Annotated[RecordHash, MustBeMap] | None = Field(
        default=None,
        description="A hash [in Redis](policy.md#tables-in-redis) with the records, instead of `table`.",
    )
