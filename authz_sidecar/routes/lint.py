"""What is allowed in routes and policies and hardly ever meant, with the place of each."""

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
    problem: Problem
    code: str

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    def __str__(self) -> str:
        """For a terminal: place, severity, code, what it is, what to do."""
        problem = self.problem
        place = f"{problem.file}:{problem.line}:{problem.column}"
        fix = CODES[self.code].fix
        return f"{place}: {self.severity}: {self.code}: {problem.message}; {fix}"


def lint_routes(
    built: CompiledRoutes,
    routes: Sequence[RouteSettings],
    policies: Mapping[str, object],
    *,
    source_map: SourceMap,
) -> tuple[LintFinding, ...]:
    found = dict.fromkeys(_documents(routes, policies))
    for route in built.index.routes:
        found.update(dict.fromkeys(_route(route)))
    findings = [LintFinding(code="AZ201", problem=problem) for problem in built.warnings]
    findings += [
        LintFinding(
            code=each.code, problem=source_map.problem(CODES[each.code].message, *each.path)
        )
        for each in found
    ]
    return tuple(sorted(findings))


def _documents(
    routes: Sequence[RouteSettings], policies: Mapping[str, object]
) -> Iterator[LintMatch]:
    for name, document in policies.items():
        yield from find_lint(document, root_path=("policies", name))
    for place, settings in enumerate(routes):
        if settings.policy is not None:
            yield from find_lint(settings.policy, root_path=("routes", place, "policy"))


def _route(route: Route) -> Iterator[LintMatch]:
    operators = route.policy.operators
    if route.policy.to_decision is decision_unsatisfiable and operators:
        yield LintMatch("AZ203", route.written_at)
    denied = [each for each in operators if each.action is Action.DENY]
    checks_trust = any(
        criterion.name == "invalid_client_certificate"
        for operator in denied
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
