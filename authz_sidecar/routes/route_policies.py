"""Compiles the policy of a route: all its rules that allow or deny, as alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.suggest import unknown_name_message
from authz_sidecar.policy.compile import Purpose, compile_operators
from authz_sidecar.policy.document import OperatorNode, parse_document
from authz_sidecar.policy.model import Operator, Policy, link_policy
from authz_sidecar.policy.subject import Context
from authz_sidecar.routes.route_checks import find_missing_tables, find_uppercase_in_ignore_case
from authz_sidecar.routes.shorthands import shorthand_conflicts, written_shorthands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authz_sidecar.core.source_locations import PathStep, SourceMap
    from authz_sidecar.core.types import RequestAttribute
    from authz_sidecar.errors import Problem
    from authz_sidecar.policy.records import RecordTables
    from authz_sidecar.routes.settings import RouteSettings


class RoutePolicies:
    """Compiles the named policies once, and the policy of each route. Problems are added to
    `problems`."""

    def __init__(
        self,
        named: Mapping[str, object],
        *,
        source_map: SourceMap,
        available_attributes: frozenset[RequestAttribute],
        records: RecordTables | None,
        problems: list[Problem],
    ) -> None:
        self._where = source_map
        self._available_attributes = available_attributes
        self._records = records
        self._context = Context(records=records)
        self._problems = problems
        self._named = {
            name: self._sound(document, ("policies", name)) for name, document in named.items()
        }

    def compile_for(
        self, settings: RouteSettings, source_path: tuple[PathStep, ...]
    ) -> Policy | None:
        """Returns the policy of a route, whose path in the configuration is `source_path`; None when part of
        it is broken."""
        before = len(self._problems)
        for wide, narrow in shorthand_conflicts(settings):
            self._problem(
                f"`{wide}` makes `{narrow}` meaningless: give one of them", (*source_path, narrow)
            )
        operators = list(self._built(written_shorthands(settings, source_path=source_path)))
        is_valid = True
        for index, name in enumerate(settings.policies):
            if name not in self._named:
                self._problem(
                    unknown_name_message("policy", name, self._named),
                    (*source_path, "policies", index),
                )
            elif (operators_of_policy := self._named[name]) is None:
                is_valid = False
            else:
                operators.extend(operators_of_policy)
        if settings.policy is not None:
            operators.extend(self._document(settings.policy, (*source_path, "policy")))
        if settings.paths == "ignore_case":
            self._problems.extend(find_uppercase_in_ignore_case(operators, source_map=self._where))
        if not is_valid or len(self._problems) > before:
            return None
        has_several_providers = len(settings.identity_provider or ()) > 1
        return link_policy(operators, qualified_users=has_several_providers, context=self._context)

    def _sound(
        self, document: object, source_path: tuple[PathStep, ...]
    ) -> tuple[Operator, ...] | None:
        before = len(self._problems)
        operators = self._document(document, source_path)
        return operators if len(self._problems) == before else None

    def _document(
        self, document: object, source_path: tuple[PathStep, ...]
    ) -> tuple[Operator, ...]:
        operators = self._built(
            parse_document(
                document, source_map=self._where, source_path=source_path, problems=self._problems
            )
        )
        if self._records is not None:
            self._problems.extend(
                find_missing_tables(operators, self._records, source_map=self._where)
            )
        return operators

    def _built(self, written: Sequence[OperatorNode]) -> tuple[Operator, ...]:
        return compile_operators(
            written,
            source_map=self._where,
            available_attributes=self._available_attributes,
            purpose=Purpose.SERVE,
            problems=self._problems,
        )

    def _problem(self, message: str, path: tuple[PathStep, ...]) -> None:
        self._problems.append(self._where.problem(message, *path))
