"""Who is sent to sign in again, for what, and who is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authz_sidecar.core.step_up import AuthenticationRequirement, merge_requirements
from authz_sidecar.core.types import Allow, Decision, Deny, Identity, step_up_of
from authz_sidecar.errors import ConfigError
from authz_sidecar.policy import anticipate, decide
from authz_sidecar.policy.explain import explain
from tests.policy.requests import ANN, NOW, allow, policy, request

FRESH = {"authentication": {"max_age": "5m"}}
STRONG = {"authentication": {"acr": ["3fa", "4fa"]}}
BY_KEY = {"authentication": {"amr": "hwk"}}
ENG, SALES = {"groups": {"has": "eng"}}, {"groups": {"has": "sales"}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(
            {"allow": {"and": [FRESH]}}, AuthenticationRequirement(max_age=300), id="too old"
        ),
        pytest.param(
            {"allow": {"and": [STRONG]}},
            AuthenticationRequirement(acr=("3fa", "4fa")),
            id="too weak",
        ),
        pytest.param(
            {"allow": {"and": [BY_KEY]}},
            AuthenticationRequirement(amr=("hwk",)),
            id="another method",
        ),
        pytest.param(
            {"allow": {"and": [ENG, FRESH, STRONG, BY_KEY]}},
            AuthenticationRequirement(max_age=300, acr=("3fa", "4fa"), amr=("hwk",)),
            id="everything at once",
        ),
        pytest.param(
            [{"allow": {"and": [ENG]}}, {"deny": {"not": [FRESH]}}],
            AuthenticationRequirement(max_age=300),
            id="a rule that shuts out the others",
        ),
        pytest.param(
            [{"allow": {"and": [ENG]}}, {"deny": {"nor": [STRONG, ENG]}}],
            AuthenticationRequirement(acr=("3fa", "4fa")),
            id="nor",
        ),
        pytest.param(
            {"allow": {"or": [FRESH, STRONG, BY_KEY]}},
            AuthenticationRequirement(max_age=300),
            id="the cheapest",
        ),
        pytest.param(
            [{"allow": {"and": [ENG, FRESH]}}, {"allow": {"and": [SALES, STRONG]}}],
            AuthenticationRequirement(max_age=300),
            id="what the group of the user needs",
        ),
        pytest.param(
            [
                {"allow": {"and": [{"authentication": {"acr": ["3fa", "2fa"]}}, FRESH]}},
                {"deny": {"not": [{"authentication": {"acr": ["2fa", "3fa", "4fa"]}}]}},
            ],
            AuthenticationRequirement(max_age=300, acr=("2fa", "3fa")),
            id="the level that one has is not lost with a new sign-in",
        ),
        pytest.param(
            {"allow": {"and": [{"authentication": {"max_age": "1h"}}, FRESH]}},
            AuthenticationRequirement(max_age=300),
            id="the shorter of two ages",
        ),
    ],
)
def test_what_is_asked_for(document: object, expected: AuthenticationRequirement) -> None:
    decision = decide(policy(document), request(), ANN, now=NOW)
    assert step_up_of(decision) == expected
    explained = explain(policy(document), request(), ANN, now=NOW)
    assert explained.decision == decision
    assert any(rule.decisive for rule in explained.rules)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"allow": {"and": [SALES, FRESH]}}, id="another group is missing as well"),
        pytest.param(
            [{"allow": {"and": [FRESH]}}, {"deny": {"and": [ENG]}}], id="shut out in any case"
        ),
        pytest.param(
            {"allow": {"and": [STRONG, {"authentication": {"acr": "2fa"}}]}},
            id="levels at odds with each other",
        ),
        pytest.param(
            [{"allow": {"and": [STRONG]}}, {"deny": {"not": [{"authentication": {"acr": "2fa"}}]}}],
            id="a level that would shut out",
        ),
        pytest.param({"allow": {"and": [FRESH, {"reject": 1}]}}, id="closed to everybody"),
        pytest.param(
            {"allow": {"and": [FRESH, {"http_method": {"is": "POST"}}]}}, id="another method"
        ),
        pytest.param({"deny": {"or": [FRESH]}}, id="nothing allows"),
    ],
)
def test_a_sign_in_that_would_not_help_is_not_asked_for(document: object) -> None:
    assert isinstance(decide(policy(document), request(), ANN, now=NOW), Deny)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"authenticated_at": NOW - 299.9}, id="recent enough"),
        pytest.param({"authenticated_at": NOW}, id="just now"),
    ],
)
def test_whoever_signed_in_as_asked_passes(changes: dict[str, float]) -> None:
    who: Identity = replace(ANN, **changes)  # type: ignore[arg-type]
    decision: Decision = decide(allow(FRESH), request(), who, now=NOW)
    assert isinstance(decision, Allow)


@pytest.mark.parametrize("level", ["two factors", "", 'a"b', "a\\b", "é", "a\r\nb"], ids=ascii)
def test_a_level_that_no_provider_can_be_asked_for_is_refused(level: str) -> None:
    with pytest.raises(ConfigError, match=r"array of strings|a level is visible ASCII"):
        allow({"authentication": {"acr": level}})


def test_sign_ins_that_no_provider_can_give_are_none() -> None:
    assert (
        merge_requirements(
            [AuthenticationRequirement(acr=("a",)), AuthenticationRequirement(acr=("b",))]
        )
        is None
    )
    assert merge_requirements([]) == AuthenticationRequirement()
    both = merge_requirements(
        [
            AuthenticationRequirement(acr=("a", "b"), max_age=60),
            AuthenticationRequirement(acr=("b", "c"), amr=("otp",)),
        ]
    )
    assert both == AuthenticationRequirement(max_age=60, acr=("b",), amr=("otp",))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(
            {"allow": {"and": [ENG, FRESH]}},
            AuthenticationRequirement(max_age=300),
            id="for everybody",
        ),
        pytest.param(
            [{"allow": {"or": [ENG]}}, {"deny": {"not": [STRONG]}}],
            AuthenticationRequirement(acr=("3fa", "4fa")),
            id="a rule that shuts out the others",
        ),
        pytest.param(
            [{"allow": {"and": [SALES]}}, {"allow": {"and": [ENG, FRESH]}}],
            None,
            id="for some, who knows whom",
        ),
        pytest.param(
            [
                {"allow": {"or": [ENG]}},
                {"deny": {"and": [{"http_path": {"starts_with": "/admin"}}, ENG]}},
            ],
            None,
            id="no rule about it",
        ),
        pytest.param(
            {"allow": {"and": [{"http_method": {"is": "POST"}}, STRONG]}},
            None,
            id="another request",
        ),
        pytest.param(
            [{"allow": {"or": [ENG]}}, {"deny": {"nor": [STRONG, {"user": {"is": "u1"}}]}}],
            AuthenticationRequirement(acr=("3fa", "4fa")),
            id="nor",
        ),
        pytest.param(
            {"allow": {"and": [STRONG, {"authentication": {"acr": "2fa"}}]}}, None, id="at odds"
        ),
    ],
)
def test_what_is_foreseen_for_whoever_signs_in(
    document: object, expected: AuthenticationRequirement | None
) -> None:
    compiled = policy(document)
    assert anticipate(compiled, request(), now=NOW, context=compiled.context) == expected
