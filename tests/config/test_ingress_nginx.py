"""Routes that the controller cannot tell apart, and the word that it is retired."""

from __future__ import annotations

from typing import Any

import pytest

from authz_sidecar.config.checks import cross_section
from authz_sidecar.config.checks.warnings import find_warnings
from tests.config.test_check import ROUTE, config

RETIRED = "server.adapters: ingress-nginx is retired"


def found(*places: str, **server: Any) -> list[tuple[str, str]]:
    """The place that a problem is at, and the one that it names."""
    routes = [{**ROUTE, "from": place} for place in places]
    problems = cross_section.find_problems(config(routes=routes, server=server))
    said = [problem.message.partition(": differs from `") for problem in problems]
    return [
        (places[int(path.removeprefix("routes[").partition("]")[0])], rest.partition("`")[0])
        for path, _, rest in said
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("https://a.example.com", "https://a.example.com:8443", id="one host"),
        pytest.param("https://a.example.com:1", "https://a.example.com:2", id="no default port"),
        pytest.param("http://a.localhost", "http://a.localhost:8080", id="http"),
        pytest.param("https://a.example.com", "https://*.example.com:8443", id="a wildcard's"),
        pytest.param("https://a.b.example.com", "https://**.example.com:8443", id="any depth"),
        pytest.param("https://*.example.com", "https://*.example.com:8443", id="one wildcard"),
        pytest.param("https://*.b.example.com", "https://**.example.com:8443", id="two wildcards"),
        pytest.param("https://**.b.example.com", "https://**.example.com:8443", id="two depths"),
    ],
)
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_a_port_is_the_clients_word(one: str, other: str, *, turned: bool) -> None:
    places = (other, one) if turned else (one, other)
    pairs = found(*places, adapters=["nginx", "ingress-nginx"])
    assert pairs
    assert {frozenset(pair) for pair in pairs} == {frozenset((one, other))}


@pytest.mark.parametrize(
    "places",
    [
        pytest.param(("https://a.example.com:8443",) * 2, id="the same port"),
        pytest.param(("https://a.example.com", "https://b.example.com:8443"), id="other hosts"),
        pytest.param(("https://a.example.com", "http://a.example.com:8080"), id="other schemes"),
        pytest.param(("https://a.b.example.com", "https://*.example.com:1"), id="one label alone"),
        pytest.param(("https://example.com", "https://**.example.com:1"), id="the parent itself"),
        pytest.param(("https://*.a.example.com", "https://*.example.com:1"), id="other depths"),
    ],
)
def test_what_the_controller_can_tell_apart(places: tuple[str, ...]) -> None:
    server = {"adapters": ["ingress-nginx"], "allow_insecure_http": True}
    assert found(*places, **server) == []


@pytest.mark.parametrize("server", [{}, {"adapters": ["nginx"]}], ids=["default", "another"])
def test_nothing_is_said_where_the_controller_is_not_named(server: dict[str, Any]) -> None:
    assert found("https://a.example.com", "https://a.example.com:8443", **server) == []
    assert find_warnings(config(server=server)) == ()


def test_the_controller_is_retired() -> None:
    [warning] = find_warnings(config(server={"adapters": ["ingress-nginx"]}))
    assert warning.message.startswith(RETIRED)
    assert "`?host=$host&upgrade=$http_upgrade`" in warning.message
