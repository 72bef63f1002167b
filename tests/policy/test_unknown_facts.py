"""A fact that did not arrive counts against the request, whatever operator it stands under."""

from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.core.types import Allow, RequestAttribute
from authz_sidecar.errors import ConfigError
from authz_sidecar.policy import decide, partially_evaluate
from tests.policy.requests import ANN, NOW, policy, request

ABOUT = [
    pytest.param({"source_ip": "10.0.0.0/8"}, RequestAttribute.CLIENT_ADDRESS, id="source_ip"),
    pytest.param({"http_method": "GET"}, RequestAttribute.METHOD, id="http_method"),
    pytest.param({"http_path": "/"}, RequestAttribute.PATH, id="http_path"),
    pytest.param({"http_header/x-team": "a"}, RequestAttribute.HEADERS, id="http_header"),
    pytest.param({"query/tab": "a"}, RequestAttribute.QUERY, id="query"),
    pytest.param({"cors_preflight": 1}, RequestAttribute.HEADERS, id="cors_preflight"),
    pytest.param({"client_certificate": {}}, RequestAttribute.CERTIFICATE, id="client_certificate"),
    pytest.param(
        {"invalid_client_certificate": 1}, RequestAttribute.CERTIFICATE, id="invalid certificate"
    ),
    pytest.param(
        {"record": {"type": "hosts", "by": "address", "field": "site", "is": "a"}},
        RequestAttribute.CLIENT_ADDRESS,
        id="record",
    ),
]
OPERATORS = ["and", "or", "not", "nor"]


def without(fact: RequestAttribute) -> Any:
    return request(
        client=None if fact is RequestAttribute.CLIENT_ADDRESS else "10.1.2.3",
        facts=frozenset(RequestAttribute) - {fact},
    )


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_it_never_allows(criterion: object, fact: RequestAttribute, operator: str) -> None:
    compiled = policy({"allow": {operator: [criterion]}})
    assert not isinstance(decide(compiled, without(fact), ANN, now=NOW), Allow)
    assert not isinstance(partially_evaluate(compiled, ANN, now=NOW).decide(without(fact)), Allow)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_it_always_denies(criterion: object, fact: RequestAttribute, operator: str) -> None:
    compiled = policy({"allow": {"or": [{"accept": 1}]}, "deny": {operator: [criterion]}})
    assert not isinstance(decide(compiled, without(fact), ANN, now=NOW), Allow)
    assert not isinstance(partially_evaluate(compiled, ANN, now=NOW).decide(without(fact)), Allow)


@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_a_fact_that_no_proxy_tells_is_a_mistake_in_the_configuration(
    criterion: object, fact: RequestAttribute
) -> None:
    with pytest.raises(ConfigError, match=f"not every enabled adapter delivers the {fact.value}"):
        policy(
            {"allow": {"and": [criterion]}},
            available_attributes=frozenset(RequestAttribute) - {fact},
        )


@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_unless_the_rule_says_what_then(criterion: object, fact: RequestAttribute) -> None:
    compiled = policy(
        {"allow": {"and": [criterion], "unavailable": "deny"}},
        available_attributes=frozenset(RequestAttribute) - {fact},
    )
    assert not isinstance(decide(compiled, without(fact), ANN, now=NOW), Allow)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        pytest.param((("x-team", "a"), ("x-team", "b")), None, id="a header twice"),
        pytest.param((), "tab=a&tab=b", id="a parameter twice"),
        pytest.param((), "tab=a;tab=b", id="a parameter twice for some applications"),
        pytest.param((), "x=1;tab=a", id="a parameter for some applications"),
    ],
)
def test_values_given_twice_count_as_unknown(
    headers: tuple[tuple[str, str], ...], query: str | None
) -> None:
    name = "query/tab" if query else "http_header/x-team"
    asked = request(headers=headers, query=query)
    for operator in OPERATORS:
        allowing = policy({"allow": {operator: [{name: "a"}]}})
        denying = policy({"allow": {"or": [{"accept": 1}]}, "deny": {operator: [{name: "a"}]}})
        assert not isinstance(decide(allowing, asked, ANN, now=NOW), Allow)
        assert not isinstance(decide(denying, asked, ANN, now=NOW), Allow)
