from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_sidecar.core.step_up import AuthenticationRequirement
from authz_sidecar.core.types import Allow, Challenge, Decision, Deny
from authz_sidecar.policy import decide, partially_evaluate
from authz_sidecar.policy.model import refusing_policy
from tests.policy.requests import ANN, BARE, NOW, policy, request

if TYPE_CHECKING:
    from authz_sidecar.core.types import Identity

ENGINEERS = [{"allow": {"and": [{"domain": "corp.test"}, {"groups": "eng"}]}}]


def codes(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("document", "who", "expected"),
    [
        pytest.param(
            ENGINEERS, ANN, Allow(codes("domain-ok", "groups-ok")), id="a member may pass"
        ),
        pytest.param(
            ENGINEERS, None, Challenge(codes("user-unauthenticated")), id="a stranger signs in"
        ),
        pytest.param(
            ENGINEERS,
            BARE,
            Deny(codes("domain-unauthorized", "groups-unauthorized")),
            id="somebody else is refused, never asked again",
        ),
        pytest.param({}, ANN, Deny(), id="nothing allows"),
        pytest.param([], None, Deny(), id="nothing allows anybody"),
        pytest.param({"allow": {"and": []}}, ANN, Deny(), id="an empty and allows nothing"),
        pytest.param({"allow": {"or": [{"accept": 1}]}}, None, Allow(codes("accept")), id="public"),
        pytest.param(
            [*ENGINEERS, {"deny": {"or": [{"email": "ann@corp.test"}]}}],
            ANN,
            Deny(codes("email-ok")),
            id="deny wins",
        ),
        pytest.param(
            {"allow": {"or": [{"accept": 1}]}, "deny": {"or": [{"email": "bob@corp.test"}]}},
            None,
            Challenge(codes("accept", "user-unauthenticated")),
            id="a deny about people makes a public route ask who comes",
        ),
        pytest.param(
            {"deny": {"or": [{"email": "bob@corp.test"}]}},
            None,
            Deny(),
            id="nobody is asked to sign in for what nobody may have",
        ),
        pytest.param(
            {"allow": {"and": [{"reject": 1}, {"email": "ann@corp.test"}]}},
            None,
            Deny(codes("reject", "user-unauthenticated")),
            id="an and with reject is for nobody",
        ),
        pytest.param(
            {"allow": {"and": [{"domain": "corp.test"}]}, "deny": {"or": [{"accept": 1}]}},
            None,
            Deny(codes("accept")),
            id="a deny of all is for nobody",
        ),
        pytest.param(
            {"allow": {"not": [{"accept": 1}, {"email": "bob@corp.test"}]}},
            None,
            Deny(codes("accept")),
            id="not with accept is for nobody",
        ),
        pytest.param(
            {"allow": {"nor": [{"accept": 1}]}},
            ANN,
            Deny(codes("accept")),
            id="nor of accept alone",
        ),
        pytest.param(
            {"allow": {"and": [{"email": {"not": "bob@corp.test"}}]}},
            None,
            Challenge(codes("user-unauthenticated")),
            id="negative matchers are no back door",
        ),
        pytest.param(
            {"allow": {"and": [{"claim/groups": {"exclude": "contractors"}}]}},
            None,
            Challenge(codes("user-unauthenticated")),
            id="nor is exclude",
        ),
        pytest.param(
            {"allow": {"and": [{"groups": {"exclude": "contractors"}}]}},
            BARE,
            Deny(codes("groups-unauthorized")),
            id="no source of groups is not an empty list of groups",
        ),
        pytest.param(
            {"allow": {"and": [{"authentication": {"max_age": "5m"}}]}},
            ANN,
            Challenge(codes("authentication-too-old"), AuthenticationRequirement(max_age=300)),
            id="signed in too long ago",
        ),
        pytest.param(
            {"allow": {"and": [{"authentication": {"max_age": "5m"}}]}},
            None,
            Challenge(codes("user-unauthenticated")),
            id="not signed in at all",
        ),
    ],
)
def test_decisions(document: object, who: Identity | None, expected: Decision) -> None:
    compiled = policy(document)
    assert decide(compiled, request(), who, now=NOW) == expected
    assert partially_evaluate(compiled, who, now=NOW).decide(request()) == expected


@pytest.mark.parametrize(
    ("qualified", "name", "passes"),
    [
        pytest.param(False, "u1", True, id="one provider"),
        pytest.param(True, "corp/u1", True, id="several providers"),
        pytest.param(True, "u1", False, id="a bare name is nobody where there are several"),
        pytest.param(False, "corp/u1", False, id="and the long one where there is one"),
    ],
)
def test_users_are_named_with_their_provider_where_there_are_several(
    qualified: bool,  # noqa: FBT001
    name: str,
    passes: bool,  # noqa: FBT001
) -> None:
    compiled = policy({"allow": {"and": [{"user": name}]}}, qualified_users=qualified)
    assert isinstance(decide(compiled, request(), ANN, now=NOW), Allow) is passes
    assert isinstance(partially_evaluate(compiled, ANN, now=NOW).constant, Allow) is passes


def test_what_stands_in_for_a_broken_policy_refuses_everybody() -> None:
    for who in (None, ANN):
        refused = Deny(codes("route-misconfigured"))
        assert decide(refusing_policy(), request(), who, now=NOW) == refused
        assert partially_evaluate(refusing_policy(), who, now=NOW).constant == refused


def test_what_no_request_changes_is_a_constant() -> None:
    assert partially_evaluate(policy(ENGINEERS), ANN, now=NOW).constant is not None
    by_method = policy([*ENGINEERS, {"allow": {"and": [{"http_method": "GET"}]}}])
    assert partially_evaluate(by_method, ANN, now=NOW).constant is None


def test_a_policy_knows_which_groups_it_mentions() -> None:
    document = [
        {"allow": {"or": [{"groups": "eng"}, {"groups": {"has": "ops", "exclude": "temps"}}]}},
        {"deny": {"or": [{"claim/groups": "banned"}, {"claim/role": "guest"}]}},
    ]
    assert policy(document).groups == {"eng", "ops", "temps", "banned"}
