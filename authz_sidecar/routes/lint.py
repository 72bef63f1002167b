"""Lints routes and policies: finds what is valid and hardly ever intended, with its source
location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_sidecar.policy.criteria import Dependency
from authz_sidecar.policy.document import Action
from authz_sidecar.policy.lint import CODES, LintMatch, Severity, find_lint
from authz_sidecar.policy.verdict import decision_unsatisfiable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from authz_sidecar.core.source_locations import SourceMap
    from authz_sidecar.errors import Problem
    from authz_sidecar.routes.build import CompiledRoutes
    from authz_sidecar.routes.model import Route
    from authz_sidecar.routes.settings import RouteSettings


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class LintFinding:
    """A lint code with its message and source location."""

    problem: Problem
    code: str

    @property
    def severity(self) -> Severity:
        """The severity of the code."""
        return CODES[self.code].severity

    def __str__(self) -> str:
        """The finding for a terminal: location, severity, code, message, fix."""
        problem = self.problem
        location = f"{problem.file}:{problem.line}:{problem.column}"
        fix = CODES[self.code].fix
        return f"{location}: {self.severity}: {self.code}: {problem.message}; {fix}"


def lint_routes(
    compiled: CompiledRoutes,
    routes: Sequence[RouteSettings],
    policies: Mapping[str, object],
    *,
    source_map: SourceMap,
) -> tuple[LintFinding, ...]:
    """Returns the lint of all routes and policies, in file order."""
    matches = dict.fromkeys(_documents(routes, policies))
    for route in compiled.index.routes:
        matches.update(dict.fromkeys(_route(route)))
    findings = [LintFinding(code="AZ201", problem=problem) for problem in compiled.warnings]
    findings += [
        LintFinding(
            code=match.code, problem=source_map.problem(CODES[match.code].message, *match.path)
        )
        for match in matches
    ]
    return tuple(sorted(findings))


def _documents(
    routes: Sequence[RouteSettings], policies: Mapping[str, object]
) -> Iterator[LintMatch]:
    for name, document in policies.items():
        yield from find_lint(document, root_path=("policies", name))
    for index, settings in enumerate(routes):
        if settings.policy is not None:
            yield from find_lint(settings.policy, root_path=("routes", index, "policy"))


def _route(route: Route) -> Iterator[LintMatch]:
    operators = route.policy.operators
    if route.policy.to_decision is decision_unsatisfiable and operators:
        yield LintMatch("AZ203", route.written_at)
    deny_operators = [item for item in operators if item.action is Action.DENY]
    checks_trust = any(
        criterion.name == "invalid_client_certificate"
        for operator in deny_operators
        for criterion in operator.criteria
    )
    for operator in operators:
        allows = operator.action is Action.ALLOW
        if route.public and allows and operator.path != route.written_at:
            yield LintMatch("AZ204", operator.path)
        for criterion in operator.criteria:
            if route.public and not allows and Dependency.SUBJECT in criterion.depends_on:
                yield LintMatch("AZ202", criterion.path)
            if allows and criterion.name == "client_certificate" and not checks_trust:
                yield LintMatch("AZ205", criterion.path)
