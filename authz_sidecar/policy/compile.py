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
    source_path: tuple[PathStep, ...] = (),
    available_attributes: frozenset[RequestAttribute] = ALL_ATTRIBUTES,
    purpose: Purpose = Purpose.SERVE,
    qualified_users: bool = False,
) -> Policy:
    """Returns the compiled policy of a document.

    - `source_path`: the path of the document below the root of `source_map`.
    - `available_attributes`: the request attributes that every enabled adapter delivers.
    - `qualified_users`: `user` compares `provider/subject`.

    Raises `ConfigError` with all problems in file order.
    """
    problems: list[Problem] = []
    nodes = parse_document(
        document, source_map=source_map, source_path=source_path, problems=problems
    )
    operators = compile_operators(
        nodes,
        source_map=source_map,
        available_attributes=available_attributes,
        purpose=purpose,
        problems=problems,
    )
    if problems:
        raise ConfigError(tuple(sorted(problems)))
    return link_policy(operators, qualified_users=qualified_users)


def compile_operators(
    nodes: Sequence[OperatorNode],
    *,
    source_map: SourceMap,
    available_attributes: frozenset[RequestAttribute],
    purpose: Purpose,
    problems: list[Problem],
) -> tuple[Operator, ...]:
    """Returns the compiled operators of one document; they are valid only where nothing was added
    to `problems`."""
    builder = _Builder(source_map, available_attributes, purpose, problems)
    return tuple(builder.operator(node) for node in nodes)


class _Builder:
    def __init__(
        self,
        source_map: SourceMap,
        available_attributes: frozenset[RequestAttribute],
        purpose: Purpose,
        problems: list[Problem],
    ) -> None:
        self._source_map = source_map
        self._available_attributes = available_attributes
        self._purpose = purpose
        self._problems = problems

    def operator(self, operator_node: OperatorNode) -> Operator:
        criteria = tuple(
            criterion
            for node in operator_node.criteria
            if (criterion := self._criterion(node, operator_node)) is not None
        )
        return Operator(operator_node.action, operator_node.kind, criteria, operator_node.path)

    def _criterion(self, node: CriterionNode, operator_node: OperatorNode) -> Criterion | None:
        name, _, sub_path = node.name.partition("/")
        builder = BUILDERS.get(name)
        if builder is None:
            message = unknown_name_message("criterion", name, BUILDERS)
            self._problems.append(self._source_map.problem(message, *node.path))
            return None
        compile_context = CompileContext(
            name=name,
            sub_path=sub_path,
            data=node.data,
            source_map=self._source_map,
            path=node.path,
            outcome_when_unknown=self._unknown(operator_node),
            problems=self._problems,
        )
        if name in WITHOUT_TRANSPORT and self._purpose is Purpose.SERVE:
            compile_context.problem(
                f"`{name}` works only in `policy eval`: no adapter delivers what it compares"
            )
        criterion = builder(node.data, compile_context)
        if criterion is not None and not operator_node.unavailable_denies:
            for attribute in sorted(criterion.attributes - self._available_attributes):
                compile_context.problem(
                    f"not every enabled adapter delivers the {attribute.value}: "
                    "write `unavailable: deny` in this rule, or enable other adapters"
                )
        return criterion

    def _unknown(self, operator_node: OperatorNode) -> bool | None:
        """An unknown criterion makes an `allow` fail and a `deny` hold, also when inverted."""
        if self._purpose is Purpose.EVALUATE:
            return None
        inverted = operator_node.kind in (Connective.NOT, Connective.NOR)
        return (operator_node.action is Action.DENY) is not inverted
