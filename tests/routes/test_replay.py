from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from authz_sidecar.core.types import Identity, RequestAttribute
from authz_sidecar.policy import decide
from authz_sidecar.policy.records import static_tables
from authz_sidecar.routes.explain import explained_verdict
from authz_sidecar.routes.replay import (
    IncompleteLogLineError,
    LoggedCheck,
    NotACheckLineError,
    _possible,
    parse_log_line,
    replay,
)
from tests.policy.requests import NOW, policy
from tests.policy.test_properties import DOCUMENTS, REQUESTS, WHO
from tests.routes.settings import RouteSpec, compile_routes

LINE: dict[str, Any] = {
    "time": "2026-03-04T12:00:00.000Z",
    "message": "authorize check",
    "check": "traefik",
    "decision": "allow",
    "method": "GET",
    "host": "app.example.com",
    "path": "/a",
    "ip": "10.1.2.3",
    "user": "u1",
    "email": "ann@corp.test",
}


def verdict(document: object, **line: Any) -> tuple[str | None, set[str]]:
    index = compile_routes(RouteSpec(policy=document)).index
    replayed = replay(index, parse_log_line({**LINE, **line}, scheme_of={}))
    return (str(replayed.verdict) if replayed.verdict else None), set(replayed.missing_fields)


ENGINEERS = {"groups": {"has": "eng"}}
ANN_HERSELF = {"email": "ann@corp.test"}


@pytest.mark.parametrize(
    ("document", "line", "expected"),
    [
        ({"allow": {"or": [ANN_HERSELF]}}, {}, ("allow", set())),
        ({"allow": {"or": [ANN_HERSELF]}}, {"user": None}, ("sign-in", set())),
        ({"allow": {"or": [{"source_ip": "10.0.0.0/8"}]}}, {}, ("allow", set())),
        ({"allow": {"or": [{"source_ip": "10.0.0.0/8"}]}}, {"ip": None}, ("deny", set())),
        ({"allow": {"or": [{"date": {"before": "2026-03-04T12:00:01Z"}}]}}, {}, ("allow", set())),
        ({"allow": {"or": [ENGINEERS]}}, {}, (None, {"groups"})),
        ({"allow": {"or": [ENGINEERS]}}, {"groups": ["eng"]}, ("allow", set())),
        ({"allow": {"or": [ENGINEERS]}}, {"user": None}, ("sign-in", set())),
        ({"allow": {"or": [ENGINEERS, ANN_HERSELF]}}, {}, ("allow", set())),
        ({"allow": {"and": [ENGINEERS, {"email": "bob"}]}}, {}, ("deny", set())),
        ({"allow": {"or": [{"claim/a": 1}]}}, {"claims": {"a": 1}}, ("allow", set())),
        (
            {"allow": {"or": [ANN_HERSELF]}, "deny": {"and": [ANN_HERSELF, {"query/q": "x"}]}},
            {},
            (None, {"the query"}),
        ),
        ({"allow": {"or": [{"claim/a": 1}, ENGINEERS]}}, {}, (None, {"claims", "groups"})),
        ({"allow": {"or": [{"query/q": "1"}]}}, {}, (None, {"the query"})),
        ({"allow": {"or": [{"query/q": "1"}]}}, {"query": "q=1"}, ("allow", set())),
        ({"allow": {"or": [{"cors_preflight": 1}]}}, {}, ("deny", set())),
        ({"allow": {"or": [{"cors_preflight": 1}]}}, {"method": "OPTIONS"}, (None, {"headers"})),
        ({"allow": {"and": [{"http_header/a": "1"}]}}, {}, (None, {"headers"})),
        ({"allow": {"or": [{"claim/a": n} for n in range(9)]}}, {}, (None, {"claims"})),
        ({}, {"host": "no.example.com"}, ("deny", set())),
        ({}, {"path": "/%00"}, ("refused", set())),
        ({"allow": {"or": [{"http_path": {"is": "/b"}}, ANN_HERSELF]}}, {"path": "/a//b"},
         ("allow", set())),
        ({"allow": {"or": [{"http_path": {"is": "/b"}}]}}, {"path": "/a/../b"}, ("refused", set())),
    ],
)  # fmt: skip
def test_verdicts(document: object, line: dict[str, Any], expected: Any) -> None:
    assert verdict(document, **line) == expected


def test_readings_that_lead_to_different_routes() -> None:
    index = compile_routes(RouteSpec(), RouteSpec(prefix="/b")).index
    replayed = replay(index, parse_log_line({**LINE, "path": "/a/../b"}, scheme_of={}))
    assert replayed.verdict == "refused"


def test_providers() -> None:
    document = {"allow": {"or": [{"user": "corp/u1"}]}}
    index = compile_routes(
        RouteSpec(policy=document, identity_provider=("corp", "guests")),
        providers=("corp", "guests"),
    ).index

    def replayed(**more: Any) -> tuple[Any, Any]:
        found = replay(index, parse_log_line({**LINE, **more}, scheme_of={}))
        return found.verdict, found.missing_fields

    assert replayed() == (None, {"the provider"})
    assert replayed(provider="corp") == ("allow", frozenset())
    assert replayed(provider="guests") == ("deny", frozenset())
    assert replayed(provider="elsewhere") == ("sign-in", frozenset())


def test_records_are_looked_up() -> None:
    tables = static_tables(
        users={"staff": {"u1": {"level": 4}, "corp/u1": {"level": 1}}},
        networks={"sites": {"10.0.0.0/8": {"name": "hq"}}},
    )
    rules = [
        {"record": {"type": "staff", "field": "level", "is": 4}},
        {"record": {"type": "sites", "by": "address", "field": "name", "is": "hq"}},
    ]
    alone = RouteSpec(policy={"allow": {"and": rules}})
    assert replay(
        compile_routes(alone, records=tables).index, parse_log_line(LINE, scheme_of={})
    ) == (
        "allow",
        "https://app.example.com",
        frozenset(),
    )
    assert replay(
        compile_routes(alone).index, parse_log_line(LINE, scheme_of={})
    ).missing_fields == {"records"}

    several = replace(alone, identity_provider=("corp", "guests"))
    index = compile_routes(several, records=tables, providers=("corp", "guests")).index
    assert replay(index, parse_log_line(LINE, scheme_of={})).missing_fields == {"the provider"}
    told = parse_log_line({**LINE, "provider": "corp"}, scheme_of={})
    assert replay(index, told).verdict == "deny"


def test_a_public_route_asks_for_nobody() -> None:
    index = compile_routes(RouteSpec(allow_public_unauthenticated_access=True)).index
    assert replay(index, parse_log_line(LINE, scheme_of={})).verdict == "allow"


@pytest.mark.parametrize("line", [1, {}, {"message": "started"}, []])
def test_other_lines(line: object) -> None:
    with pytest.raises(NotACheckLineError):
        parse_log_line(line, scheme_of={})


@pytest.mark.parametrize(
    ("more", "lacks"),
    [
        ({"method": None}, "method, host and path"),
        ({"path": "/" * 2048}, "the whole path"),
        ({"host": "a b"}, "what can be read"),
        ({"time": "noon"}, "what can be read"),
        ({"ip": "1.2"}, "what can be read"),
    ],
)
def test_lines_that_lack_what_it_takes(more: dict[str, Any], lacks: str) -> None:
    with pytest.raises(IncompleteLogLineError, match=lacks):
        parse_log_line({**LINE, **more}, scheme_of={})


def test_schemes() -> None:
    recorded = parse_log_line(
        {**LINE, "host": "a.localhost:8080"}, scheme_of={"a.localhost:8080": "http"}
    )
    assert str(recorded.request.origin) == "http://a.localhost:8080"
    assert str(parse_log_line({**LINE, "scheme": "http"}, scheme_of={}).request.origin) == (
        "http://app.example.com"
    )


@given(document=DOCUMENTS, asked=REQUESTS, who=WHO)
def test_what_may_come_of_a_request_includes_what_does(
    document: object, asked: Any, who: Identity | None
) -> None:
    """Whatever the log forgets, the verdict that was is among those thought possible."""
    if not asked.attributes >= {
        RequestAttribute.METHOD,
        RequestAttribute.PATH,
        RequestAttribute.QUERY,
        RequestAttribute.HEADERS,
    }:
        return
    compiled = policy(document)
    decision = decide(compiled, asked, who, now=NOW)
    recorded = LoggedCheck(request=asked, identity=who, now=NOW, recorded_fields=frozenset())
    assert explained_verdict(decision) in _possible(compiled, recorded)[0]
