"""Every vector of Pomerium's policy language: `recommended` where upstream's own answer is hazardous.

`PPL_VECTORS` names another file of vectors. One that cannot be interpreted fails.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.source_locations import unknown_locations
from authz_sidecar.policy import partially_evaluate_subject
from authz_sidecar.policy.criteria import BUILDERS
from authz_sidecar.policy.document import Action, OperatorNode
from authz_sidecar.policy.explain import explain_subject
from authz_sidecar.policy.vectors import (
    PolicyRejected,
    VectorCase,
    VectorResult,
    evaluate_case,
    load_policy,
    read_case,
)
from authz_sidecar.routes.shorthands import written_shorthands
from tests.routes.settings import RouteSpec, compile_routes

if TYPE_CHECKING:
    from authz_sidecar.policy.model import Policy

FILE = Path(
    os.environ.get("PPL_VECTORS", Path(__file__).parent.parent / "corpus" / "ppl_vectors.json")
)
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))

WHERE = unknown_locations("vector")
CLOCK = 1_780_000_000.0

OTHER_ROOMS = {"http_decision", "jwt_assertion", "internal_endpoint"}
"""Judged where answers, assertions and our own pages are made."""

PORTAL_KNOWS = {"accept", "authenticated_user", "domain", "email", "groups", "user"}


def vectors(*kinds: str) -> list[Any]:
    return [pytest.param(each, id=each["id"]) for each in VECTORS if each["kind"] in kinds]


def is_about_ssh(vector: dict[str, Any]) -> bool:
    return "ssh" in vector["input"] or vector["id"].startswith(("ssh-", "ssh_"))


def loaded(vector: dict[str, Any]) -> Policy:
    if "policy_text" not in vector:
        return load_policy(vector["policy"], source_map=WHERE)
    document = parse_yaml(vector["policy_text"], file="vector")
    if document.problems:
        raise PolicyRejected("parse", document.problems)
    return load_policy(document.data, source_map=document.source_map)


def test_every_vector_is_of_a_kind_that_is_judged() -> None:
    judged = {
        "evaluate",
        "extension_evaluate",
        "extension_reject",
        "portal_visibility",
        "reject_policy",
        "reject_route",
        "route_shorthand",
        "yaml",
    }
    assert {vector["kind"] for vector in VECTORS} <= judged | OTHER_ROOMS


@pytest.mark.parametrize(
    "vector",
    [each for each in vectors("evaluate", "yaml") if not is_about_ssh(each.values[0])],
)
def test_evaluate(vector: dict[str, Any]) -> None:
    policy = loaded(vector)
    case = read_case(vector["input"], clock=CLOCK)
    result = evaluate_case(policy, case)
    expect = vector.get("recommended", vector["expect"])
    check_result(result, expect)
    check_explained_and_specialised(policy, case, result)


def check_result(result: VectorResult, expect: dict[str, Any]) -> None:
    known = {
        "additional_data",
        "allow",
        "allow_reasons",
        "deny",
        "deny_reasons",
        "outcome",
        "parsed_equals_policy",
        "reasons",
    }
    assert expect.keys() <= known, "a vector that expects what nobody checks"
    evaluation = result.evaluation
    assert evaluation.allow.holds is expect["allow"]
    assert evaluation.deny.holds is expect["deny"]
    deciding = evaluation.deny.reasons if evaluation.deny.holds else evaluation.allow.reasons
    assert deciding == set(expect["reasons"])
    if "allow_reasons" in expect:
        assert evaluation.allow.reasons == set(expect["allow_reasons"])
    if "deny_reasons" in expect:
        assert evaluation.deny.reasons == set(expect["deny_reasons"])
    if "outcome" in expect:
        assert result.outcome == expect["outcome"]
    if "additional_data" in expect:
        assert {"device_type": result.device_type} == expect["additional_data"]


def check_explained_and_specialised(policy: Policy, case: VectorCase, result: VectorResult) -> None:
    explained = explain_subject(
        policy, case.request, case.subject, now=case.now, context=case.context
    )
    allow, deny = result.evaluation
    decision = policy.to_decision(allow.outcome, deny.outcome)
    assert (explained.allow, explained.deny) == (allow, deny)
    assert explained.decision == decision
    residual = partially_evaluate_subject(policy, case.subject, now=case.now)
    assert residual.decide(case.request, context=case.context) == decision
    assert residual.constant in (None, decision)
    assert residual.stable_until > case.now


@pytest.mark.parametrize("vector", vectors("yaml"))
def test_yaml_is_typed_as_yaml_1_2(vector: dict[str, Any]) -> None:
    assert parse_yaml(vector["policy_text"], file="vector").data == vector["policy"]


@pytest.mark.parametrize("vector", vectors("reject_policy", "extension_reject"))
def test_refused_policies(vector: dict[str, Any]) -> None:
    if vector["id"].startswith("not-in-core-") and offered(vector["policy"]):
        loaded_or_refused_for_its_data(vector)
        return
    with pytest.raises(PolicyRejected) as refused:
        loaded(vector)
    assert refused.value.stage == vector["expect"]["stage"]
    assert all(str(problem).startswith("vector:") for problem in refused.value.problems)


def offered(policy: dict[str, Any]) -> bool:
    return all(
        name.partition("/")[0] in BUILDERS
        for rule in policy.values()
        for criteria in rule.values()
        for criterion in criteria
        for name in criterion
    )


def loaded_or_refused_for_its_data(vector: dict[str, Any]) -> None:
    """A criterion that Core lacks and we have is known by its name here."""
    try:
        loaded(vector)
    except PolicyRejected as refused:
        assert "unknown criterion" not in str(refused)  # noqa: PT017


@pytest.mark.parametrize("vector", vectors("extension_evaluate"))
def test_extensions(vector: dict[str, Any]) -> None:
    policy = loaded(vector)
    case = read_case(vector["input"], clock=CLOCK)
    result = evaluate_case(policy, case)
    expect = vector["expect"]
    assert result.evaluation.allow.holds is expect["allow"]
    assert result.evaluation.deny.holds is expect["deny"]
    if expect.get("reasons_specified", True):
        check_result(result, {key: expect[key] for key in expect if key != "reasons_specified"})
    check_explained_and_specialised(policy, case, result)


@pytest.mark.parametrize("vector", vectors("route_shorthand"))
def test_shorthands(vector: dict[str, Any]) -> None:
    route = vector["route"]
    document = [
        *as_rules(written_shorthands(settings(route), source_path=())),
        *listed(route.get("policy")),
    ]
    assert document == listed(vector["policy"])
    policy = load_policy(document, source_map=WHERE)
    case = read_case(vector["input"], clock=CLOCK)
    expect = {key: value for key, value in vector["expect"].items() if key != "compiles_to_policy"}
    check_result(evaluate_case(policy, case), expect)


def settings(route: dict[str, Any]) -> RouteSpec:
    return replace(RouteSpec(), **route)


def as_rules(operators: tuple[OperatorNode, ...]) -> list[dict[str, Any]]:
    rules = []
    for operator in operators:
        assert operator.action is Action.ALLOW
        criteria = [{each.name: each.data} for each in operator.criteria]
        rules.append({"allow": {operator.kind.value: criteria}})
    return rules


def listed(policy: object) -> list[Any]:
    if policy is None:
        return []
    return policy if isinstance(policy, list) else [policy]


@pytest.mark.parametrize("vector", vectors("reject_route"))
def test_refused_routes(vector: dict[str, Any]) -> None:
    assert vector["expect"]["stage"] == "route-validation"
    assert compile_routes(settings(vector["route"])).problems


@pytest.mark.parametrize("vector", vectors("portal_visibility"))
def test_portal_shows_what_the_policy_lets_pass(vector: dict[str, Any]) -> None:
    route = vector["route"]
    document = [
        *as_rules(written_shorthands(settings(route), source_path=())),
        *listed(route.get("policy")),
    ]
    policy = load_policy(document, source_map=WHERE)
    case = read_case(vector["input"], clock=CLOCK)
    result = evaluate_case(policy, case)
    check_explained_and_specialised(policy, case, result)
    if upstream_portal_understands(document):
        expect = vector.get("recommended", vector["expect"])
        assert (result.outcome == "permit") is expect["visible"]


def upstream_portal_understands(document: list[dict[str, Any]]) -> bool:
    """Upstream's portal has a simplified checker of its own. Where it does not know the language
    its answer is not the policy's, and the policy's is the one we give."""
    for rules in document:
        for action, operators in rules.items():
            for operator, criteria in operators.items():
                if action != "allow" or operator in ("not", "nor"):
                    return False
                if operator == "and" and len(criteria) > 1:
                    return False
                for criterion in criteria:
                    ((name, data),) = criterion.items()
                    if name.partition("/")[0] not in PORTAL_KNOWS:
                        return False
                    if isinstance(data, dict) and len(data) != 1:
                        return False
    return True
