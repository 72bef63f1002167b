"""Tables that policies look up in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from authz_sidecar.config.schema.kinds import Section


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
        description="The records: a map from users or networks to maps of fields, or text, which"
        " `{file: PATH}` reads from a file of up to 1 MiB; [more](policy.md#tables).",
    )
