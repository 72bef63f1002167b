"""A fact that did not arrive counts against the request, whatever operator it stands under."""

from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.core.types import Allow, Fact
from authz_sidecar.errors import ConfigError
from authz_sidecar.policy import decide, specialise
from tests.policy.requests import ANN, NOW, policy, request

ABOUT = [
    pytest.param({"source_ip": "10.0.0.0/8"}, Fact.CLIENT_ADDRESS, id="source_ip"),
    pytest.param({"http_method": "GET"}, Fact.METHOD, id="http_method"),
    pytest.param({"http_path": "/"}, Fact.PATH, id="http_path"),
    pytest.param({"http_header/x-team": "a"}, Fact.HEADERS, id="http_header"),
    pytest.param({"query/tab": "a"}, Fact.QUERY, id="query"),
    pytest.param({"cors_preflight": 1}, Fact.HEADERS, id="cors_preflight"),
    pytest.param({"client_certificate": {}}, Fact.CERTIFICATE, id="client_certificate"),
    pytest.param({"invalid_client_certificate": 1}, Fact.CERTIFICATE, id="invalid certificate"),
    pytest.param(
        {"record": {"type": "hosts", "by": "address", "field": "site", "is": "a"}},
        Fact.CLIENT_ADDRESS,
        id="record",
    ),
]
OPERATORS = ["and", "or", "not", "nor"]


def without(fact: Fact) -> Any:
    return request(
        client=None if fact is Fact.CLIENT_ADDRESS else "10.1.2.3", facts=frozenset(Fact) - {fact}
    )


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_it_never_allows(criterion: object, fact: Fact, operator: str) -> None:
    compiled = policy({"allow": {operator: [criterion]}})
    assert not isinstance(decide(compiled, without(fact), ANN, now=NOW), Allow)
    assert not isinstance(specialise(compiled, ANN, now=NOW).decide(without(fact)), Allow)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_it_always_denies(criterion: object, fact: Fact, operator: str) -> None:
    compiled = policy({"allow": {"or": [{"accept": 1}]}, "deny": {operator: [criterion]}})
    assert not isinstance(decide(compiled, without(fact), ANN, now=NOW), Allow)
    assert not isinstance(specialise(compiled, ANN, now=NOW).decide(without(fact)), Allow)


@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_a_fact_that_no_proxy_tells_is_a_mistake_in_the_configuration(
    criterion: object, fact: Fact
) -> None:
    with pytest.raises(ConfigError, match=f"not every enabled proxy tells the {fact.value}"):
        policy({"allow": {"and": [criterion]}}, facts=frozenset(Fact) - {fact})


@pytest.mark.parametrize(("criterion", "fact"), ABOUT)
def test_unless_the_rule_says_what_then(criterion: object, fact: Fact) -> None:
    compiled = policy(
        {"allow": {"and": [criterion], "unavailable": "deny"}}, facts=frozenset(Fact) - {fact}
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
