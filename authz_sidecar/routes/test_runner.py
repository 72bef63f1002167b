"""Runs policy test cases against routes, compares what they expect, and reports which rules were
ever decisive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from authz_sidecar.policy.document import Connective
from authz_sidecar.routes.explain import ExplainedRequest, ExplainedVerdict, explain_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_sidecar.core.header_names import ProtectedNames
    from authz_sidecar.core.source_locations import PathStep
    from authz_sidecar.core.types import Identity, RequestAttribute
    from authz_sidecar.policy.explain import ExplainedRule
    from authz_sidecar.policy.model import Operator
    from authz_sidecar.policy.test_cases import PolicyTestCase
    from authz_sidecar.routes.index import RouteIndex

Rule = tuple["PathStep", ...]
"""The path of an alternative of a policy: an operator, or one criterion of an `or`."""


class Difference(NamedTuple):
    """A field of the result that differs from what the case expects."""

    what: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of a test case."""

    case: PolicyTestCase
    explained: ExplainedRequest
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether the result is as expected."""
        return not self.differences


def run_case(
    index: RouteIndex,
    case: PolicyTestCase,
    *,
    names: ProtectedNames,
    available_attributes: frozenset[RequestAttribute],
    now: float,
) -> CaseResult:
    """Runs one case.

    - `names`: the headers that a client must not send.
    - `available_attributes`: the request attributes that every enabled proxy delivers.
    - `now`: Unix seconds, for cases that name no time.
    """
    request = replace(case.request, attributes=available_attributes)
    identity = _with_route_provider(case.identity, index, case)
    case_time = now if case.now is None else case.now
    explained = explain_request(index, request, identity, names=names, now=case_time)
    return CaseResult(case, explained, tuple(_differences(case, explained)))


def _with_route_provider(
    identity: Identity | None, index: RouteIndex, case: PolicyTestCase
) -> Identity | None:
    if identity is None or identity.provider:
        return identity
    route = index.match(case.request.origin, case.request.path)
    providers = route.providers if route is not None else ()
    return replace(identity, provider=providers[0]) if providers else identity


def _differences(case: PolicyTestCase, explained: ExplainedRequest) -> Iterator[Difference]:
    expected = case.expected
    if expected.verdict is not None and expected.verdict != explained.verdict:
        yield Difference("verdict", expected.verdict, str(explained.verdict))
    route = explained.route.name if explained.route else "none"
    if expected.route is not None and expected.route != route:
        yield Difference("route", expected.route, route)
    if missing := expected.reasons - explained.reasons:
        actual = ", ".join(sorted(explained.reasons)) or "none"
        yield Difference("reasons", ", ".join(sorted(missing)), actual)


def rules_of(index: RouteIndex) -> tuple[Rule, ...]:
    """Returns every alternative of every route's policy once, in order."""
    rules: dict[Rule, None] = {}
    for route in index.routes:
        for operator in route.policy.operators:
            rules.update(dict.fromkeys(_alternatives(operator)))
    return tuple(rules)


def decisive_rules(results: Iterable[CaseResult]) -> frozenset[Rule]:
    """Returns the rules that allowed an allowed request or denied a denied one, over all results."""
    return frozenset(
        rule
        for result in results
        if result.explained.verdict in (ExplainedVerdict.ALLOW, ExplainedVerdict.DENY)
        for interpretation in result.explained.interpretations
        if interpretation.explanation is not None
        for explained in interpretation.explanation.rules
        if explained.decisive and explained.result.holds
        for rule in _decisive_alternatives(explained)
    )


def _alternatives(operator: Operator) -> Iterator[Rule]:
    if operator.kind is Connective.OR:
        yield from (criterion.path for criterion in operator.criteria)
    else:
        yield operator.path


def _decisive_alternatives(explained: ExplainedRule) -> Iterator[Rule]:
    if explained.operator.kind is Connective.OR:
        yield from (item.criterion.path for item in explained.criteria if item.result.holds)
    else:
        yield explained.operator.path
