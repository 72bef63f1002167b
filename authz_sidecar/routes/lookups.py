"""Whether every table that a policy looks up in is there: where nobody has a record, a `deny` would
pass everybody in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.policy.criteria.record import table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_sidecar.core.positions import Positions
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.model import Operator
    from authz_sidecar.policy.records import RecordTables


def missing_tables(
    operators: Iterable[Operator], tables: RecordTables, *, where: Positions
) -> Iterator[Problem]:
    for operator in operators:
        for criterion in operator.criteria:
            if (asked := table_of(criterion)) is None:
                continue
            name, by = asked
            if not tables.knows(name, by=by):
                message = f"there is no table `{name}` by {by} among `records`"
                yield where.problem(message, *criterion.path, "type")
