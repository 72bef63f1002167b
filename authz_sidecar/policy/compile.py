"""From policy documents to compiled rules: every problem at once, each with its place."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from authz_sidecar.core.suggest import unknown
from authz_sidecar.core.types import Fact
from authz_sidecar.errors import ConfigError, Problem
from authz_sidecar.policy.criteria import BUILDERS, WITHOUT_TRANSPORT, Criterion, Site
from authz_sidecar.policy.document import (
    Action,
    Kind,
    WrittenCriterion,
    WrittenOperator,
    parse,
)
from authz_sidecar.policy.model import Operator, Policy, policy_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.source_locations import Positions, Step

ALL_FACTS = frozenset(Fact)


class Purpose(Enum):
    """What a policy is compiled for."""

    SERVE = "serve"
    """Unknown facts count against the request; criteria without a transport are refused."""
    EVALUATE = "evaluate"
    """Upstream's meaning: an absent input does not match, and every criterion is known."""


def compile_policy(
    document: object,
    *,
    where: Positions,
    at: tuple[Step, ...] = (),
    facts: frozenset[Fact] = ALL_FACTS,
    purpose: Purpose = Purpose.SERVE,
    qualified_users: bool = False,
) -> Policy:
    """`at` is the document's path below the root of `where`; `facts` are those that every enabled
    adapter delivers. Raises `ConfigError` with all problems in file order."""
    problems: list[Problem] = []
    written = parse(document, where=where, at=at, problems=problems)
    operators = build(written, where=where, facts=facts, purpose=purpose, problems=problems)
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    return policy_of(operators, qualified_users=qualified_users)


def build(
    written: Sequence[WrittenOperator],
    *,
    where: Positions,
    facts: frozenset[Fact],
    purpose: Purpose,
    problems: list[Problem],
) -> tuple[Operator, ...]:
    """The rules of one document; to be used only where nothing was added to `problems`."""
    builder = _Builder(where, facts, purpose, problems)
    return tuple(builder.operator(operator) for operator in written)


class _Builder:
    def __init__(
        self,
        where: Positions,
        facts: frozenset[Fact],
        purpose: Purpose,
        problems: list[Problem],
    ) -> None:
        self._where = where
        self._facts = facts
        self._purpose = purpose
        self._problems = problems

    def operator(self, written: WrittenOperator) -> Operator:
        criteria = tuple(
            criterion
            for each in written.criteria
            if (criterion := self._criterion(each, written)) is not None
        )
        return Operator(written.action, written.kind, criteria, written.path)

    def _criterion(self, written: WrittenCriterion, operator: WrittenOperator) -> Criterion | None:
        name, _, sub_path = written.name.partition("/")
        builder = BUILDERS.get(name)
        if builder is None:
            message = unknown("criterion", name, BUILDERS)
            self._problems.append(self._where.problem(message, *written.path))
            return None
        site = Site(
            name=name,
            sub_path=sub_path,
            data=written.data,
            where=self._where,
            path=written.path,
            unknown=self._unknown(operator),
            problems=self._problems,
        )
        if name in WITHOUT_TRANSPORT and self._purpose is Purpose.SERVE:
            site.problem(f"`{name}` cannot be asked about requests yet, only in `policy eval`")
        criterion = builder(written.data, site)
        if criterion is not None and not operator.unavailable_denies:
            for fact in sorted(criterion.facts - self._facts):
                site.problem(
                    f"not every enabled proxy tells the {fact.value}: "
                    "say `unavailable: deny` in this rule, or enable other adapters"
                )
        return criterion

    def _unknown(self, operator: WrittenOperator) -> bool | None:
        """An unknown criterion makes an `allow` fail and a `deny` hold, also when inverted."""
        if self._purpose is Purpose.EVALUATE:
            return None
        inverted = operator.kind in (Kind.NOT, Kind.NOR)
        return (operator.action is Action.DENY) is not inverted
