"""The section `records`: tables that policies look up in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from authz_sidecar.config.schema.kinds import Duration, MustBeMap, SecretText, Section, Text


class RecordHash(Section):
    """A hash in Redis, copied into the memory of each worker and read again and again."""

    key: Text = Field(
        description="The hash: a field for each user or network, whose value is the record in JSON."
    )
    url: SecretText | None = Field(
        default=None, description="Where it is, as `sessions.store`, which it is unless said here."
    )
    every: Duration = Field(
        default=5.0, description="How often it is read, so how late a change may be heard of."
    )
    max_age: Duration = Field(
        default=30.0,
        description="How long it is believed when it can no longer be read; after that nothing in"
        " it is [known](policy.md#what-is-not-known).",
    )


class RecordTable(Section):
    """A table that the criterion `record` looks up in, by user or by the client's address."""

    by: Literal["user", "address"] = Field(
        default="user",
        description="What finds a record: the user, as the criterion `user` compares it, or the"
        " narrowest network around the client's address.",
    )
    format: Literal["yaml", "csv"] = Field(
        default="yaml",
        description="How `table` is written where it is text: `yaml`, which JSON is too, or `csv`,"
        " the first row naming the fields.",
    )
    table: object = Field(
        default=None,
        description="The records: a map from users or networks to maps of fields, or text, which"
        " `{file: PATH}` reads from a file of up to 1 MiB; [more](policy.md#tables).",
    )
    redis: Annotated[RecordHash, MustBeMap] | None = Field(
        default=None,
        description="Where the records are [in Redis](policy.md#tables-in-redis) instead.",
    )
