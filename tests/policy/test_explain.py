from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from authz_sidecar.core.types import ClientCertificate, RequestAttribute
from authz_sidecar.policy import Context
from authz_sidecar.policy.criteria import BUILDERS
from authz_sidecar.policy.explain import ExplainedCriterion, explain, explain_subject
from authz_sidecar.policy.model import refusing_policy
from authz_sidecar.policy.observed_values import _READERS, ObservedValue
from authz_sidecar.policy.records import static_tables
from authz_sidecar.policy.subject import Device, Subject, ToolCall
from authz_sidecar.policy.vectors import load_policy
from tests.policy.requests import ANN, BARE, NOW, policy, request
from tests.policy.test_ppl_vectors import VECTORS, WHERE

RECORDS = Context(
    records=static_tables(
        users={"staff": {"u1": {"level": 3}}},
        networks={"sites": {"10.0.0.0/8": {"name": "hq"}}, "lab": {}},
    ),
    call=ToolCall("tools/call", "search"),
)


def one(criterion: dict[str, Any], asked: Any = None, who: Any = ANN) -> ExplainedCriterion:
    compiled = load_policy({"allow": {"or": [criterion]}}, source_map=WHERE)
    explained = explain(compiled, asked or request(), who, now=NOW, context=RECORDS)
    return explained.rules[0].criteria[0]


def test_every_criterion_says_what_it_looks_at() -> None:
    assert _READERS.keys() == BUILDERS.keys()


@pytest.mark.parametrize(
    ("criterion", "seen"),
    [
        ({"accept": 1}, ObservedValue()),
        ({"authenticated_user": 1}, ObservedValue("u1")),
        ({"user": "x"}, ObservedValue("u1")),
        ({"email": "x"}, ObservedValue("ann@corp.test")),
        ({"domain": "x"}, ObservedValue("corp.test")),
        ({"groups": "x"}, ObservedValue(["eng", "ops"])),
        ({"claim/level": 3}, ObservedValue([3])),
        ({"claim/address.country": "NZ"}, ObservedValue(["NZ"])),
        ({"claim/none": "x"}, ObservedValue([], "there is no such claim")),
        ({"authentication": {"max_age": "5m", "acr": "x"}}, ObservedValue({"max_age": "600s", "acr": "2fa"})),
        ({"http_method": "GET"}, ObservedValue("GET")),
        ({"http_path": "/"}, ObservedValue("/a b")),
        ({"query/q": "1"}, ObservedValue("1")),
        ({"query/none": "1"}, ObservedValue(note="not given")),
        ({"query/twice": "1"}, ObservedValue(["1", "2"], "given more than once")),
        ({"http_header/X-Team": "blue"}, ObservedValue("red")),
        ({"source_ip": "10.0.0.0/8"}, ObservedValue("10.1.2.3")),
        ({"client_certificate": {}}, ObservedValue(note="none was presented")),
        ({"invalid_client_certificate": 1}, ObservedValue({"presented": False, "valid": False})),
        ({"date": {"after": "2026-01-01"}}, ObservedValue("Wed 2026-03-04 12:00:00 UTC")),
        ({"day_of_week": {"days": "mon", "timezone": "Asia/Tokyo"}},
         ObservedValue("Wed 2026-03-04 21:00:00 JST")),
        ({"record": {"type": "staff", "field": "level", "is": 3}}, ObservedValue(3)),
        ({"record": {"type": "staff", "field": "none", "is": 3}},
         ObservedValue(note="the record has no such field")),
        ({"record": {"type": "sites", "by": "address", "field": "name", "is": "x"}}, ObservedValue("hq")),
        ({"record": {"type": "none", "field": "name", "is": "x"}},
         ObservedValue(note="the table `none` is not known")),
        ({"record": {"type": "lab", "by": "address", "field": "name", "is": "x"}},
         ObservedValue(note="there is no record")),
        ({"mcp_tool": "search"}, ObservedValue({"method": "tools/call", "tool": "search"})),
        ({"device": {"type": "any"}}, ObservedValue(note="no device of type `any`")),
        ({"cors_preflight": 1}, ObservedValue({"method": "GET", "access-control-request-method": [],
                                      "origin": ["https://other.test"]})),
    ],
)  # fmt: skip
def test_what_a_criterion_looks_at(criterion: dict[str, Any], seen: ObservedValue) -> None:
    asked = request(
        path="/a%20b",
        query="q=1&twice=1&twice=2",
        headers=(("x-team", "red"), ("origin", "https://other.test")),
    )
    asked = replace(asked, certificate=ClientCertificate(presented=False, valid=False))
    assert one(criterion, asked).observed == seen


@pytest.mark.parametrize(
    ("criterion", "note"),
    [
        ({"email": "x"}, "no e-mail address is known"),
        ({"domain": "x"}, "no e-mail address is known"),
        ({"groups": "x"}, "no groups are known"),
    ],
)
def test_what_is_not_known_of_a_user(criterion: dict[str, Any], note: str) -> None:
    assert one(criterion, who=BARE).observed == ObservedValue(note=note)


@pytest.mark.parametrize(
    "criterion",
    [
        {"user": "x"},
        {"claim/a": "x"},
        {"authentication": {"acr": "x"}},
        {"record": {"type": "t", "field": "f", "is": 1}},
        {"device": {}},
    ],
)
def test_nobody(criterion: dict[str, Any]) -> None:
    explained = one(criterion, who=None)
    assert explained.observed == ObservedValue(note="no user is signed in")
    assert explained.result.reasons == {"user-unauthenticated"}


def test_what_a_proxy_does_not_tell() -> None:
    asked = request(facts=frozenset(RequestAttribute) - {RequestAttribute.METHOD}, client=None)
    assert one({"http_method": "GET"}, asked).observed.note == "not known: method"
    assert one({"source_ip": "::/0"}, asked).observed.note == "the client address is not known"
    assert one({"client_certificate": {}}).observed.note == "the client certificate is not known"


def test_a_certificate_shows_what_is_compared() -> None:
    vector = next(
        each for each in VECTORS if each["input"].get("client_certificate", {}).get("pem")
    )
    given = vector["input"]["client_certificate"]
    asked = request()
    asked = replace(
        asked, certificate=ClientCertificate(presented=True, valid=True, pem=given["pem"])
    )
    seen = one({"client_certificate": {"san_dns": {"is": "x"}}}, asked).observed
    assert isinstance(seen.value, dict)
    assert seen.value.keys() == {"san_dns"}
    unreadable = replace(
        asked, certificate=ClientCertificate(presented=True, valid=True, pem="garbage")
    )
    assert one({"client_certificate": {}}, unreadable).observed.note == "it cannot be read"


def test_a_device() -> None:
    compiled = load_policy({"allow": {"or": [{"device": {"is": "d1"}}]}}, source_map=WHERE)
    subject = Subject("u1", "", None, {}, devices=(Device("any", "d1", True, False),))
    explained = explain_subject(compiled, request(), subject, now=NOW)
    assert explained.rules[0].criteria[0].observed == ObservedValue({"is": "d1", "approved": False})


def test_what_decided() -> None:
    compiled = policy(
        [
            {"allow": {"and": [{"accept": 1}], "or": [{"reject": 1}]}},
            {"deny": {"or": [{"http_path": {"starts_with": "/admin"}}]}},
        ]
    )
    allowed = explain(compiled, request(path="/"), ANN, now=NOW)
    assert [rule.decisive for rule in allowed.rules] == [True, False, False]
    denied = explain(compiled, request(path="/admin"), ANN, now=NOW)
    assert [rule.decisive for rule in denied.rules] == [False, False, True]


def test_whoever_asked_for_a_sign_in() -> None:
    compiled = policy({"allow": {"or": [{"email": "a"}], "and": [{"http_method": "PUT"}]}})
    explained = explain(compiled, request(), None, now=NOW)
    assert [rule.decisive for rule in explained.rules] == [True, False]


def test_a_broken_policy_explains_itself() -> None:
    explained = explain(refusing_policy(), request(), ANN, now=NOW)
    assert explained.decision.reasons == {"route-misconfigured"}
    assert explained.rules == ()
