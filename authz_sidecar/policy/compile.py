"""Compiles policy documents to rules and collects every problem with its source location."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.core.types import RequestAttribute
from authz_sidecar.errors import ConfigError, Problem
from authz_sidecar.policy.criteria import BUILDERS, WITHOUT_TRANSPORT, CompileContext, Criterion
from authz_sidecar.policy.document import (
    Action,
    Connective,
    CriterionNode,
    OperatorNode,
    parse_document,
)
from authz_sidecar.policy.model import Operator, Policy, link_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.core.source_locations import PathStep, SourceMap

ALL_ATTRIBUTES = frozenset(RequestAttribute)


class Purpose(Enum):
    """What a policy is compiled for."""

    SERVE = "serve"
    """Unknown attributes count against the request; criteria that no adapter delivers are refused.
    """
    EVALUATE = "evaluate"
    """Pomerium's meaning: an absent input does not match, and every criterion is available."""


def compile_policy(
    document: object,
    *,
    source_map: SourceMap,
    at: tuple[PathStep, ...] = (),
    facts: frozenset[RequestAttribute] = ALL_ATTRIBUTES,
    purpose: Purpose = Purpose.SERVE,
    qualified_users: bool = False,
) -> Policy:
    """`at` is the document's path below the root of `source_map`; `facts` are those that every
    enabled adapter delivers. Raises `ConfigError` with all problems in file order."""
    problems: list[Problem] = []
    written = parse_document(document, source_map=source_map, at=at, problems=problems)
    operators = compile_operators(
        written, source_map=source_map, facts=facts, purpose=purpose, problems=problems
    )
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    return link_policy(operators, qualified_users=qualified_users)


def compile_operators(
    written: Sequence[OperatorNode],
    *,
    source_map: SourceMap,
    facts: frozenset[RequestAttribute],
    purpose: Purpose,
    problems: list[Problem],
) -> tuple[Operator, ...]:
    """The rules of one document; to be used only where nothing was added to `problems`."""
    builder = _Builder(source_map, facts, purpose, problems)
    return tuple(builder.operator(operator) for operator in written)


class _Builder:
    def __init__(
        self,
        source_map: SourceMap,
        facts: frozenset[RequestAttribute],
        purpose: Purpose,
        problems: list[Problem],
    ) -> None:
        self._source_map = source_map
        self._facts = facts
        self._purpose = purpose
        self._problems = problems

    def operator(self, written: OperatorNode) -> Operator:
        criteria = tuple(
            criterion
            for each in written.criteria
            if (criterion := self._criterion(each, written)) is not None
        )
        return Operator(written.action, written.kind, criteria, written.path)

    def _criterion(self, written: CriterionNode, operator: OperatorNode) -> Criterion | None:
        name, _, sub_path = written.name.partition("/")
        builder = BUILDERS.get(name)
        if builder is None:
            message = unknown_name_message("criterion", name, BUILDERS)
            self._problems.append(self._source_map.problem(message, *written.path))
            return None
        site = CompileContext(
            name=name,
            sub_path=sub_path,
            data=written.data,
            source_map=self._source_map,
            path=written.path,
            outcome_when_unknown=self._unknown(operator),
            problems=self._problems,
        )
        if name in WITHOUT_TRANSPORT and self._purpose is Purpose.SERVE:
            site.problem(
                f"`{name}` works only in `policy eval`: no adapter delivers what it compares"
            )
        criterion = builder(written.data, site)
        if criterion is not None and not operator.unavailable_denies:
            for fact in sorted(criterion.attributes - self._facts):
                site.problem(
                    f"not every enabled adapter delivers the {fact.value}: "
                    "write `unavailable: deny` in this rule, or enable other adapters"
                )
        return criterion

    def _unknown(self, operator: OperatorNode) -> bool | None:
        """An unknown criterion makes an `allow` fail and a `deny` hold, also when inverted."""
        if self._purpose is Purpose.EVALUATE:
            return None
        inverted = operator.kind in (Connective.NOT, Connective.NOR)
        return (operator.action is Action.DENY) is not inverted
