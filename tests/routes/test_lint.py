from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.routes.lint import lint_routes
from tests.routes.settings import SOURCE_MAP, RouteSpec, compile_routes

VALID: dict[str, object] = {"deny": {"or": [{"invalid_client_certificate": True}]}}
CERTIFICATE: dict[str, object] = {"allow": {"or": [{"client_certificate": {}}]}}
PUBLIC: dict[str, object] = {"allow_public_unauthenticated_access": True}


def found(*routes: RouteSpec, **policies: object) -> list[str]:
    result = compile_routes(*routes, policies=policies)
    assert result.problems == ()
    return [
        f"{each.code} {each.problem.message.partition(': ')[0]}"
        for each in lint_routes(result, routes, policies, source_map=SOURCE_MAP)
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"policy": {"allow": {"nor": [{"user": "a"}]}}},
                     ["AZ102 routes[0].policy.allow.nor"], id="its own document"),
        pytest.param({"policies": ("named",)}, ["AZ106 policies.named[0].allow"], id="named"),
        pytest.param({**PUBLIC, "policy": {"deny": {"or": [{"email": "a"}]}}},
                     ["AZ202 routes[0].policy.deny.or[0].email"], id="deny on a public route"),
        pytest.param({**PUBLIC, "policy": {"deny": {"or": [{"source_ip": "10.0.0.1"}]}}}, [],
                     id="deny by address on a public route"),
        pytest.param({"policy": VALID}, ["AZ203 routes[0]"], id="nobody"),
        pytest.param({**PUBLIC, "policy": {"allow": {"or": [{"source_ip": "10.0.0.1"}]}}},
                     ["AZ204 routes[0].policy.allow.or"], id="more than public"),
        pytest.param({"policy": CERTIFICATE},
                     ["AZ205 routes[0].policy.allow.or[0].client_certificate"], id="no trust"),
        pytest.param({"policy": [CERTIFICATE, VALID]}, [], id="trust"),
        pytest.param({"policy": CERTIFICATE, "policies": ("valid",)}, [], id="trust elsewhere"),
    ],
)  # fmt: skip
def test_findings(options: dict[str, Any], expected: list[str]) -> None:
    policies: dict[str, object] = {"valid": VALID}
    if options.get("policies") == ("named",):
        policies = {"named": [{"allow": {}}, {"allow": {"or": [{"user": "a"}]}}]}
    assert found(RouteSpec(**options), **policies) == expected


def test_twins() -> None:
    twin = RouteSpec(allow_any_authenticated_user=True)
    assert found(twin, twin) == ["AZ201 routes[1]"]


def test_a_finding_says_what_to_do() -> None:
    route = RouteSpec(policy={"allow": {"nor": [{"user": "a"}]}})
    (finding,) = lint_routes(compile_routes(route), [route], {}, source_map=SOURCE_MAP)
    assert str(finding) == (
        "authz.yaml:10:3: hint: AZ102: routes[0].policy.allow.nor: `nor` holds as soon as one of"
        " its criteria does not; write `not` where none of them may hold"
    )
